// tenure run nightly -- node examples/run/leader.js
// This runs only while it leads; SIGTERM asks it to end, and SIGKILL follows.
const { TENURE_LOCK, TENURE_TERM, TENURE_IDENTITY, TENURE_TOKEN } = process.env;

console.log(`leading in term ${TENURE_TERM} of ${TENURE_LOCK} as ${TENURE_IDENTITY}`);
function work() {
  // Send the token along with what you write: a store that refuses older ones is safe from a
  // leader that does not know yet that it is none.
  console.log(`working with token ${TENURE_TOKEN}`);
}
const steps = setInterval(work, 1000);
process.on("SIGTERM", () => {
  clearInterval(steps);
  console.log("leaving");
});
work();
