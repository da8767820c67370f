/** Workers that run beside what is measured: one that serves it, or many that have nothing to do. */

/** @type {import('../types.d.ts').Part} */
export async function serve(subject, order, line) {
  const worker = await subject.startWorker(order.port, order, () => {});
  line.ready();
  await line.toldToEnd;
  await worker.stop();
  return {};
}

/** Their queue is another one, that no job is ever put on. @type {import('../types.d.ts').Part} */
export async function idle(subject, order, line) {
  const request = { ...order, queues: ['idle'], concurrency: 1 };
  await Promise.all(
    Array.from({ length: order.workers }, () => subject.startWorker(order.port, request, () => {})),
  );
  line.ready();
  await line.toldToEnd;
  // 200 farewells are not measured, and the server goes next
  return {};
}
