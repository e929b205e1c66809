// Lets a Node.js process write a heap snapshot, run by the container's own node: arguments pid, file and the inspector's port.
// SIGUSR1 opens the inspector on the container's loopback; it is closed again if it was not open before. The process writes the file
// itself: the snapshot sent in pieces over the WebSocket would be kept in its memory until they are read.
// Plain enough for Node 12: the few frames of WebSocket that are needed are made by hand, since a global WebSocket is there from 22 on.
'use strict';
const http = require('http');
const [pid, file, port] = [Number(process.argv[1]), process.argv[2], Number(process.argv[3])];
const fail = (text) => { console.error(text); process.exit(1); };
const later = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const targets = () => new Promise((done) => {
  const request = http.get({host: '127.0.0.1', port, path: '/json/list', timeout: 2000}, (answer) => {
    let text = '';
    answer.on('data', (part) => { text += part; });
    answer.on('end', () => { try { done(JSON.parse(text)); } catch (error) { done(null); } });
  });
  request.on('timeout', () => request.destroy());
  request.on('error', () => done(null));
});
const connect = (address) => new Promise((done) => {
  const key = Buffer.from('0123456789abcdef').toString('base64');
  const headers = {Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': 13, 'Sec-WebSocket-Key': key};
  const request = http.get({host: '127.0.0.1', port, path: new URL(address).pathname, headers});
  request.on('upgrade', (answer, socket, head) => done([socket, head]));
  request.on('response', (answer) => fail('the inspector answers HTTP ' + answer.statusCode));
  request.on('error', (error) => fail('the inspector does not answer: ' + error.message));
});
const send = (socket, message) => {
  const body = Buffer.from(JSON.stringify(message));
  const head = Buffer.from([0x81, 0xfe, body.length >> 8, body.length & 255, 0, 0, 0, 0]);
  socket.write(Buffer.concat([head, body]));
};
const answers = (socket, head, told) => {
  let held = head;
  const read = (part) => {
    held = Buffer.concat([held, part]);
    while (held.length >= 2) {
      let [size, at] = [held[1] & 127, 2];
      if (size === 126) { if (held.length < 4) return; [size, at] = [held.readUInt16BE(2), 4]; }
      else if (size === 127) { if (held.length < 10) return; [size, at] = [held.readUInt32BE(6), 10]; }
      if (held.length < at + size) return;
      const message = held.slice(at, at + size);
      held = held.slice(at + size);
      try { told(JSON.parse(message)); } catch (error) { continue; }
    }
  };
  socket.on('data', read);
  read(Buffer.alloc(0));
};
const evaluate = (calls, expression) => new Promise((done) => {
  const id = calls.waiting.length + 1;
  calls.waiting.push(done);
  send(calls.socket, {id, method: 'Runtime.evaluate', params: {expression, includeCommandLineAPI: true, returnByValue: true}});
});
(async () => {
  const open = await targets();
  if (!open) process.kill(pid, 'SIGUSR1');
  let found = open;
  for (let tries = 0; !found && tries < 40; tries += 1) { await later(250); found = await targets(); }
  if (!found || !found.length) fail('no inspector opened on port ' + port + ' within 10 s');
  const [socket, head] = await connect(found[0].webSocketDebuggerUrl);
  const calls = {socket, waiting: []};
  answers(socket, head, (message) => { if (message.id) calls.waiting[message.id - 1](message.result || {}); });
  socket.on('close', () => fail('the inspector closed the connection'));
  const load = (name) => "(process.getBuiltinModule || require)('" + name + "')";
  const who = await evaluate(calls, 'process.pid');
  if (!who.result || who.result.value !== pid) fail('the inspector on port ' + port + ' is that of another process');
  const taken = await evaluate(calls, load('v8') + '.writeHeapSnapshot(' + JSON.stringify(file) + ')');
  if (!open) await evaluate(calls, 'setTimeout(() => ' + load('inspector') + '.close(), 100), 0');
  socket.removeAllListeners('close');
  socket.destroy();
  if (taken.exceptionDetails) fail(taken.result.description || 'the process could not write the snapshot');
})().catch((error) => fail(String(error)));
