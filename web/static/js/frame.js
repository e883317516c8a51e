// Work on the page is done once a frame, however many messages came between.

const APART = 40; // ms between frames with work: more often is not read, and costs battery

const due = new Set();
let asked = false;
let last = -Infinity;

/** Runs fn before one of the next paints. Asked twice before then, it runs once. */
export function onFrame(fn) {
  due.add(fn);
  if (asked) return;
  asked = true;
  const wait = last + APART - performance.now();
  if (wait > 0) setTimeout(() => requestAnimationFrame(run), wait);
  else requestAnimationFrame(run);
}

function run() {
  asked = false;
  last = performance.now();
  const list = [...due];
  due.clear();
  for (const fn of list) {
    try {
      fn();
    } catch (error) {
      console.error(error); // one panel's fault must not stop the others
    }
  }
}
