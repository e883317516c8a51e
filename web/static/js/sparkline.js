// The path of a price over the last two minutes, as a small line. Floats are
// good enough here: they end as pixels.

const SECONDS = 120;

/** One sample a second, the latest of each; seconds without one are left out. */
export class Path {
  constructor(now = () => Date.now()) {
    this.points = []; // {second, value}
    this.revision = 0;
    this.#now = now;
  }

  #now;

  add(value) {
    const second = Math.floor(this.#now() / 1000);
    const last = this.points.at(-1);
    if (last?.second === second) {
      last.value = value;
      return;
    }
    this.points.push({ second, value });
    const oldest = second - SECONDS;
    while (this.points[0].second < oldest) this.points.shift();
    this.revision++;
  }
}

/** Draws a path; colours is {up, down, base}. */
export function drawPath(canvas, path, colours) {
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (width === 0) return; // not shown
  const scale = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const g = canvas.getContext('2d');
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, width, height);
  const { points } = path;
  if (points.length < 2) return;

  let low = Infinity;
  let high = -Infinity;
  for (const { value } of points) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const flat = high - low < Math.abs(high) * 1e-9;
  const pad = 2.5;
  const end = points.at(-1).second;
  const x = (second) => width - 3 - ((end - second) / SECONDS) * (width - 4);
  const y = (value) => (flat ? height / 2 : pad + (1 - (value - low) / (high - low)) * (height - 2 * pad));
  const first = points[0].value;
  const last = points.at(-1).value;
  const colour = last > first ? colours.up : last < first ? colours.down : colours.base;

  g.strokeStyle = colours.base;
  g.globalAlpha = 0.35;
  g.lineWidth = 1;
  g.setLineDash([2, 3]);
  g.beginPath();
  g.moveTo(x(points[0].second), Math.round(y(first)) + 0.5);
  g.lineTo(width, Math.round(y(first)) + 0.5);
  g.stroke();

  g.setLineDash([]);
  g.globalAlpha = 1;
  g.strokeStyle = colour;
  g.lineWidth = 1.25;
  g.lineJoin = 'round';
  g.beginPath();
  let before = -Infinity;
  for (const { second, value } of points) {
    // No line where nothing was known.
    if (second - before > 5) g.moveTo(x(second), y(value));
    else g.lineTo(x(second), y(value));
    before = second;
  }
  g.stroke();
  g.fillStyle = colour;
  g.beginPath();
  g.arc(x(end), y(last), 1.75, 0, 2 * Math.PI);
  g.fill();
}
