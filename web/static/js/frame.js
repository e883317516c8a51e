// Work on the page is done once a frame, however many messages came between.

const due = new Set();
let asked = false;

/** Runs fn before the next paint. Asked twice before then, it runs once. */
export function onFrame(fn) {
  due.add(fn);
  if (asked) return;
  asked = true;
  requestAnimationFrame(run);
}

function run() {
  asked = false;
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
