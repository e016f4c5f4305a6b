// A device at a hub with azure-iot-device from npm, over azure-iot-device-mqtt (`websockets`: its
// MqttWs), which does what it is told line by line.
//
// The same contract as `../python_hub_device.py`. Trust in the server comes from
// NODE_EXTRA_CA_CERTS.
'use strict';

const fs = require('fs');
const readline = require('readline');
const { Client, Message } = require('azure-iot-device');
const mqtt = require('azure-iot-device-mqtt');

const options = JSON.parse(process.argv[2]);
const proof = options.symmetricKey ? `SharedAccessKey=${options.symmetricKey}` : 'x509=true';
const client = Client.fromConnectionString(
  `HostName=${options.host};DeviceId=${options.deviceId};${proof}`,
  options.websockets ? mqtt.MqttWs : mqtt.Mqtt,
);
if (!options.symmetricKey) {
  client.setOptions({
    cert: fs.readFileSync(options.certFile, 'utf8'),
    key: fs.readFileSync(options.keyFile, 'utf8'),
  });
}
let twin;

function tell(event, facts) {
  process.stdout.write(JSON.stringify({ event, ...facts }) + '\n');
}

function properties(bag) {
  return Object.fromEntries(bag.propertyList.map(({ key, value }) => [key, value]));
}

function versionOf({ $version, ...rest }) {
  return { ...rest, $version };
}

const steps = {
  async connect() {
    await client.open();
    client.on('connect', () => tell('connection', { up: true }));
    client.on('disconnect', () => tell('connection', { up: false }));
    client.on('message', (message) => {
      tell('message', {
        body: message.getData().toString(),
        properties: properties(message.properties),
        messageId: message.messageId,
        correlationId: message.correlationId,
        contentType: message.contentType,
        contentEncoding: message.contentEncoding,
        ack: message.ack,
      });
      client.complete(message);
    });
    for (const name of options.methods) {
      client.onDeviceMethod(name, (request, response) => {
        tell('method', { name: request.methodName, payload: request.payload });
        response.send(207, { name: request.methodName, payload: request.payload });
      });
    }
    twin = await client.getTwin();
    twin.on('properties.desired', (patch) => tell('desired', { patch }));
  },
  async send({ body, properties: own, ...system }) {
    const message = new Message(body);
    Object.assign(message, system);
    message.expiryTimeUtc = '2030-01-02T03:04:05.0000000Z';
    for (const [key, value] of Object.entries(own)) message.properties.add(key, value);
    await client.sendEvent(message);
  },
  async twin() {
    twin = await client.getTwin();
    const { desired, reported } = twin.properties;
    return { desired: versionOf(desired), reported: versionOf(reported) };
  },
  report: ({ patch }) => new Promise((resolve, reject) => {
    twin.properties.reported.update(patch, (error) => (error ? reject(error) : resolve()));
  }),
  async close() {
    await client.close();
  },
};

readline.createInterface({ input: process.stdin }).on('line', async (line) => {
  const [step, given] = JSON.parse(line);
  try {
    tell('done', { step, result: (await steps[step](given)) || null });
  } catch (error) {
    tell('failed', { step, name: error.name, message: error.message });
  }
}).on('close', () => process.exit(0));
