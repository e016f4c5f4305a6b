// A device over HTTPS with azure-iot-device and azure-iot-device-http from npm: sends messages, then
// takes cloud-to-device messages and settles them as it is told (with `again`, each completed one
// twice). One JSON line per fact on standard output. Trust in the server comes from
// NODE_EXTRA_CA_CERTS.
//
// usage: node https_device.js '{"connectionString","certFile","keyFile","batch","again",
//                              "messages":[{"body","times","properties",…}],
//                              "settle":["complete",…]}'
'use strict';

const fs = require('fs');
const { Client, Message } = require('azure-iot-device');
const { Http } = require('azure-iot-device-http');

const options = JSON.parse(process.argv[2]);

function tell(event, facts) {
  process.stdout.write(JSON.stringify({ event, ...facts }) + '\n');
}

function made({ body, times, properties, ...members }) {
  const message = new Message(Buffer.from(body.repeat(times || 1)));
  Object.assign(message, members);
  for (const [name, value] of Object.entries(properties || {})) {
    message.properties.add(name, value);
  }
  return message;
}

function shown(message) {
  return {
    body: message.getData().toString(),
    messageId: message.messageId,
    correlationId: message.correlationId,
    to: message.to,
    expiry: message.expiryTimeUtc,
    contentType: message.contentType,
    properties: Object.fromEntries(
      message.properties.propertyList.map(({ key, value }) => [key, value]),
    ),
  };
}

function take(client) {
  const left = [...options.settle];
  let busy = Promise.resolve();
  return new Promise((resolve, reject) => {
    client.on('error', reject);
    client.on('message', (message) => {
      // One after the other: the client asks for the next one at once.
      busy = busy.then(async () => {
        const how = left.shift();
        if (how === undefined) return;
        tell('message', { ...shown(message), how });
        await client[how](message);
        if (how === 'complete' && options.again) {
          try {
            await client.complete(message);
          } catch (error) {
            tell('refused', { status: error.response.statusCode, body: error.responseBody });
          }
        }
        if (!left.length) resolve();
      }, reject);
      busy.catch(reject);
    });
  });
}

async function main() {
  const client = Client.fromConnectionString(options.connectionString, Http);
  if (options.certFile) {
    // Not awaited: the transport takes them at once, and never says so.
    client.setOptions({
      cert: fs.readFileSync(options.certFile, 'utf8'),
      key: fs.readFileSync(options.keyFile, 'utf8'),
    });
  }
  await client.open();
  const messages = (options.messages || []).map(made);
  if (options.batch) {
    await client.sendEventBatch(messages);
  } else {
    for (const message of messages) await client.sendEvent(message);
  }
  tell('sent', { messages: messages.length });
  if ((options.settle || []).length) await take(client);
  await client.close();
}

main().then(
  () => process.exit(0),
  (error) => {
    tell('error', {
      name: error.name,
      message: error.message,
      status: error.response && error.response.statusCode,
      body: error.responseBody,
    });
    process.exit(1);
  },
);
