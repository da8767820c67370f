# rq-worker in a container: docker run rq-node default http --url redis://redis:6379 --functions /app/tasks.js
FROM node:24-alpine AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY lib lib
COPY bin bin
RUN npx tsc && npm prune --omit=dev --no-audit --no-fund

FROM node:24-alpine
ENV NODE_ENV=production
WORKDIR /opt/rq-node
COPY --from=build /src/package.json ./
COPY --from=build /src/node_modules node_modules
COPY --from=build /src/dist dist
# so that a mounted module can import 'rq-node', and `rq-worker` and `rq` are on the PATH
RUN mkdir -p /node_modules && ln -s /opt/rq-node /node_modules/rq-node \
  && chmod +x dist/bin/rq-worker.js dist/bin/rq.js \
  && ln -s /opt/rq-node/dist/bin/rq-worker.js /usr/local/bin/rq-worker \
  && ln -s /opt/rq-node/dist/bin/rq.js /usr/local/bin/rq
USER node
WORKDIR /app
# exec form: the worker is process 1 and gets SIGTERM itself
ENTRYPOINT ["rq-worker"]
CMD ["default"]
