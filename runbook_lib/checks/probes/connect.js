// The same as connect.py, for images with Node.js and without Python.
const dns = require("dns").promises;
const net = require("net");
const [tries, limit, seconds, ...addresses] = process.argv.slice(1);
const now = () => Number(process.hrtime.bigint()) / 1e6;
const end = now() + seconds * 1000;
const tell = (...fields) => process.stdout.write(fields.join("\t") + "\n");

function attempt(address, port) {
  return new Promise((done) => {
    const socket = net.connect(port, address);
    const over = (problem) => { socket.destroy(); done(problem); };
    socket.setTimeout(limit * 1000, () => over("timed out"));
    socket.on("connect", () => over(""));
    socket.on("error", (failure) => over(failure.code || String(failure)));
  });
}

async function connect(label, host, port) {
  let began = now(), found;
  try {
    found = await dns.lookup(host);
  } catch (error) {
    return tell(label, (now() - began).toFixed(2), "", "name: " + error.code);
  }
  let named = (now() - began).toFixed(2), problem = "";
  for (let turn = 0; turn < tries && !problem && now() < end; turn++) {
    began = now();
    problem = await attempt(found.address, port);
    tell(label, named, (now() - began).toFixed(2), problem);
    named = "";
  }
}

const own = net.createServer().listen(0, "127.0.0.1", async () => {
  const targets = addresses.map((one) => [one, one.slice(0, one.lastIndexOf(":")).replace(/[\[\]]/g, ""), one.slice(one.lastIndexOf(":") + 1)]);
  const all = [["self", "127.0.0.1", own.address().port], ...targets].map((target) => connect(...target));
  await Promise.race([Promise.all(all), new Promise((done) => setTimeout(done, seconds * 1000))]);
  process.exit(0);
});
