/** Columns of text, as wide as a terminal shows them. */
import { stripVTControlCharacters } from 'node:util';

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
const NO_WIDTH = /\p{Mark}|[\u200b\u200c]|\u200d|\ufe0f/u;

/** Columns that a text takes, without its colours. */
export function widthOf(text: string): number {
  let width = 0;
  for (const c of stripVTControlCharacters(text)) width += NO_WIDTH.test(c) ? 0 : WIDE.test(c) ? 2 : 1;
  return width;
}

/** A text without colours, cut so that it takes at most so many columns. */
export function clip(text: string, most: number): string {
  if (widthOf(text) <= most) return text;
  let [kept, width] = ['', 0];
  for (const c of text) {
    width += widthOf(c);
    if (width >= most) break;
    kept += c;
  }
  return most > 0 ? `${kept}…` : '';
}

/** Rows with their cells one below the other; `right` are the columns that stand on the right. */
export function columns(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, widthOf(cell));
  }
  return rows.map(row =>
    row
      .map((cell, i) => {
        const space = ' '.repeat(Math.max(0, (widths[i] ?? 0) - widthOf(cell)));
        return right.includes(i) ? space + cell : cell + space;
      })
      .join('  ')
      .trimEnd(),
  );
}
