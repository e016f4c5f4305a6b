// Provisions a device through DPS with the Azure SDKs for Node, over MQTT, over MQTT in WebSocket
// (`websockets`) or over HTTPS (`http`), then connects to the assigned hub over MQTT and sends
// telemetry. It proves itself by its certificate, or by `symmetricKey`. One JSON line per fact on
// standard output; exit status 1 and an `error` line if a step fails. Trust in the server comes
// from NODE_EXTRA_CA_CERTS.
//
// usage: node device.js '{"endpoint","idScope","registrationId","certFile","keyFile",
//                        "symmetricKey","payload","messages","websockets","http"}'
'use strict';

const fs = require('fs');
const { X509Security } = require('azure-iot-security-x509');
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const provisioningMqtt = require('azure-iot-provisioning-device-mqtt');
const provisioningHttp = require('azure-iot-provisioning-device-http');
const { SharedAccessSignature, encodeUriComponentStrict } = require('azure-iot-common');
const { Client, Message } = require('azure-iot-device');
const hubMqtt = require('azure-iot-device-mqtt');

const options = JSON.parse(process.argv[2]);
const ProvisioningMqtt = options.websockets ? provisioningMqtt.MqttWs : provisioningMqtt.Mqtt;
const ProvisioningTransport = options.http ? provisioningHttp.Http : ProvisioningMqtt;
const HubMqtt = options.websockets ? hubMqtt.MqttWs : hubMqtt.Mqtt;
const x509 = options.symmetricKey
  ? undefined
  : {
      cert: fs.readFileSync(options.certFile, 'utf8'),
      key: fs.readFileSync(options.keyFile, 'utf8'),
    };

// What azure-iot-security-symmetric-key offers to the transports, which are the SDK's own.
const symmetricKeySecurity = {
  getRegistrationId: (callback) => callback(null, options.registrationId),
  createSharedAccessSignature: (idScope, callback) => {
    const resource = encodeUriComponentStrict(`${idScope}/registrations/${options.registrationId}`);
    const expiry = Math.floor(Date.now() / 1000) + 3600;
    const key = options.symmetricKey;
    callback(null, SharedAccessSignature.create(resource, 'registration', key, expiry));
  },
};

function tell(event, facts) {
  process.stdout.write(JSON.stringify({ event, ...facts }) + '\n');
}

function register() {
  const client = ProvisioningDeviceClient.create(
    options.endpoint,
    options.idScope,
    new ProvisioningTransport(),
    x509 ? new X509Security(options.registrationId, x509) : symmetricKeySecurity,
  );
  if (options.payload !== undefined) {
    client.setProvisioningPayload(options.payload);
  }
  return new Promise((resolve, reject) => {
    client.register((error, result) => (error ? reject(error) : resolve(result)));
  });
}

async function main() {
  const result = await register();
  tell('registered', {
    status: result.status,
    assignedHub: result.assignedHub,
    deviceId: result.deviceId,
    substatus: result.substatus,
    payload: result.payload,
  });
  const credential = x509 ? 'x509=true' : `SharedAccessKey=${options.symmetricKey}`;
  const device = Client.fromConnectionString(
    `HostName=${result.assignedHub};DeviceId=${result.deviceId};${credential}`,
    HubMqtt,
  );
  if (x509) {
    device.setOptions(x509);
  }
  await device.open();
  tell('connected', {});
  for (let number = 0; number < (options.messages || 1); number += 1) {
    const message = new Message(JSON.stringify({ number }));
    message.messageId = `node-${number}`;
    message.contentType = 'application/json';
    message.contentEncoding = 'utf-8';
    message.properties.add('origin', 'node & co');
    await device.sendEvent(message);
  }
  tell('sent', { messages: options.messages || 1 });
  await device.close();
}

main().then(
  () => process.exit(0),
  (error) => {
    let result;
    try {
      // Over HTTPS the answer's body is in another place, as text.
      result = error.responseBody
        ? JSON.parse(error.responseBody)
        : error.result && JSON.parse(JSON.stringify(error.result));
    } catch {
      result = undefined;
    }
    tell('error', { name: error.name, message: error.message, result });
    process.exit(1);
  },
);
