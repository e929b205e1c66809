// The same as connect.py, for images with Node.js and without Python.
const dns = require("dns");
const net = require("net");
const [tries, limit, budget, ...addresses] = process.argv.slice(1);
const now = () => Number(process.hrtime.bigint()) / 1e6;

function attempt(host, port) {
  return new Promise((done) => {
    const began = now();
    dns.lookup(host, (error, address) => {
      const named = now() - began;
      if (error) return done([named, null, "name: " + error.code]);
      const connectingSince = now();
      const socket = net.connect(port, address);
      const end = (problem) => { socket.destroy(); done([named, now() - connectingSince, problem]); };
      socket.setTimeout(limit * 1000, () => end("timed out"));
      socket.on("connect", () => end(""));
      socket.on("error", (failure) => end(failure.code || String(failure)));
    });
  });
}

const own = net.createServer().listen(0, "127.0.0.1", async () => {
  const targets = [["self", "127.0.0.1", own.address().port]];
  for (const one of addresses) {
    const at = one.lastIndexOf(":");
    targets.push([one, one.slice(0, at).replace(/[\[\]]/g, ""), Number(one.slice(at + 1))]);
  }
  const began = now(), silent = new Set();
  for (let turn = 0; turn < tries; turn++) {
    for (const [label, host, port] of targets) {
      if (silent.has(label) || now() - began > budget * 1000) continue;
      const [named, connected, problem] = await attempt(host, port);
      if (problem) silent.add(label);
      const fields = [named, connected].map((value) => (value === null ? "" : value.toFixed(2)));
      process.stdout.write([label, ...fields, problem].join("\t") + "\n");
    }
  }
  process.exit(0);
});
