// tenure sidecar nightly & node examples/sidecar/leader.js
// Before each step it asks whether it leads.
const url = (process.env.TENURE_SIDECAR ?? "http://127.0.0.1:4040") + "/leader";

async function step() {
  const asked = performance.now(); // What is answered counts from here, however long the answer takes.
  const answer = await fetch(url, { signal: AbortSignal.timeout(1000) });
  if (!answer.ok) return; // 503: it does not lead.
  const said = await answer.json();
  if (performance.now() < asked + said.valid_for_ms) {
    console.log(`working with token ${said.token}`); // Over by then; send the token along.
  }
}
setInterval(() => step().catch(() => {}), 1000); // No answer: nobody knows.
