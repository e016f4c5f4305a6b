// A device's side of its twin, with the Azure SDK for Node.
//
// The same contract as `../python_twin.py`: reads its twin, reports, is refused once, waits to be
// told of a desired property `rate`, and reads its twin again. One JSON line per fact on standard
// output. Trust in the server comes from NODE_EXTRA_CA_CERTS.
//
// usage: node twin.js '{"hub","deviceId","certFile","keyFile","websockets"}'
'use strict';

const fs = require('fs');
const { promisify } = require('util');
const { Client } = require('azure-iot-device');
const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');

const options = JSON.parse(process.argv[2]);

function tell(event, facts) {
  process.stdout.write(JSON.stringify({ event, ...facts }) + '\n');
}

// What the SDK keeps of the twin, without its own members.
function shown(twin) {
  const { desired, reported } = JSON.parse(JSON.stringify(twin.properties));
  return { desired, reported };
}

async function main() {
  const client = Client.fromConnectionString(
    `HostName=${options.hub};DeviceId=${options.deviceId};x509=true`,
    options.websockets ? MqttWs : Mqtt,
  );
  await client.setOptions({
    cert: fs.readFileSync(options.certFile, 'utf8'),
    key: fs.readFileSync(options.keyFile, 'utf8'),
  });
  await client.open();
  const twin = await client.getTwin();
  tell('twin', { twin: shown(twin) });
  const report = promisify(twin.properties.reported.update.bind(twin.properties.reported));
  await report({ fw: '1.4', net: { rssi: -61 }, gerät: 'ä' });
  try {
    await report({ 'bad.key': 1 });
  } catch (error) {
    tell('refused', { message: error.message });
  }
  const change = new Promise((resolve) => {
    twin.on('properties.desired', (delta) => {
      if ('old' in delta) resolve(delta);
    });
  });
  await report({ net: null, ready: true });
  tell('desired', { change: await change });
  tell('twin', { twin: shown(await client.getTwin()) });
  await client.close();
}

main().then(
  () => process.exit(0),
  (error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  },
);
