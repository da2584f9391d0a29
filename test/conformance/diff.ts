// A unified diff of two short texts, for people who look for the first line that differs.

interface Line {
  readonly mark: " " | "-" | "+";
  readonly text: string;
}

const CONTEXT = 3;

/** `--- expected` / `+++ actual`, and the changed lines with three lines around them. */
export function unifiedDiff(expected: string, actual: string): string {
  const lines = align(split(expected), split(actual));
  const shown = lines.map((_, i) => {
    const around = lines.slice(Math.max(0, i - CONTEXT), i + CONTEXT + 1);
    return around.some((line) => line.mark !== " ");
  });
  let out = "--- expected\n+++ actual\n";
  for (let i = 0; i < lines.length; i++) {
    if (shown[i]) out += `${lines[i].mark}${lines[i].text}\n`;
    else if (i === 0 || shown[i - 1]) out += "@@\n";
  }
  return out;
}

function split(text: string): string[] {
  const lines = text.split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  // A text without a final newline is told apart.
  else lines[lines.length - 1] += " (no newline)";
  return lines;
}

/** By longest common subsequence; quadratic, and the outputs of a directive are short. */
function align(before: readonly string[], after: readonly string[]): Line[] {
  const width = after.length + 1;
  const common = new Int32Array((before.length + 1) * width);
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      const skip = Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
      common[i * width + j] = before[i] === after[j] ? common[(i + 1) * width + j + 1] + 1 : skip;
    }
  }
  const lines: Line[] = [];
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    const keepsMore = common[(i + 1) * width + j] >= common[i * width + j + 1];
    if (i < before.length && j < after.length && before[i] === after[j]) {
      lines.push({ mark: " ", text: before[i++] });
      j++;
    } else if (j >= after.length || (i < before.length && keepsMore)) {
      lines.push({ mark: "-", text: before[i++] });
    } else {
      lines.push({ mark: "+", text: after[j++] });
    }
  }
  return lines;
}
