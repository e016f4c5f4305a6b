// Manages a hub with azure-iothub from npm.
//
// The same contract as `../python_hub.py`: one JSON document as argument with a connection string
// and steps, one JSON line per step on standard output. A step that the hub refuses has the status
// in `refused`. Trust in the server comes from NODE_EXTRA_CA_CERTS.
//
// usage: node hub.js '{"connectionString","steps":[[name, arguments], …]}'
'use strict';

const { Client, Registry } = require('azure-iothub');

const options = JSON.parse(process.argv[2]);
const registry = Registry.fromConnectionString(options.connectionString);
// Its methods go over HTTPS; only its messages need AMQP, which is not opened.
const client = Client.fromConnectionString(options.connectionString);

function device({ name, kind, key, thumbprint, status, edge, scope }) {
  const wanted = { deviceId: name, status: status || 'enabled' };
  if (kind === 'selfSigned') {
    wanted.authentication = {
      type: kind,
      x509Thumbprint: { primaryThumbprint: thumbprint, secondaryThumbprint: thumbprint },
    };
  } else if (kind === 'certificateAuthority') {
    wanted.authentication = { type: kind };
  } else if (key) {
    wanted.authentication = {
      type: 'sas',
      symmetricKey: { primaryKey: key, secondaryKey: key },
    };
  }
  if (edge) wanted.capabilities = { iotEdge: true };
  if (scope) wanted.deviceScope = scope;
  return wanted;
}

function told(found) {
  return {
    id: found.deviceId,
    generation: found.generationId,
    etag: found.etag,
    status: found.status,
    connection: found.connectionState,
    type: found.authentication.type,
    key: found.authentication.symmetricKey.primaryKey,
    thumbprint: found.authentication.x509Thumbprint.primaryThumbprint,
    edge: found.capabilities.iotEdge,
    scope: found.deviceScope,
    parents: found.parentScopes,
  };
}

function toldTwin(twin) {
  const values = ({ $metadata, ...section }) => {
    if (!$metadata.$lastUpdated) throw new Error('no metadata');
    return section;
  };
  return {
    id: twin.deviceId,
    etag: twin.etag,
    version: twin.version,
    tags: twin.tags,
    desired: values(twin.properties.desired),
    reported: values(twin.properties.reported),
  };
}

const bulk = {
  create: (devices) => registry.addDevices(devices),
  update: (devices) => registry.updateDevices(devices, true),
  updateIfMatchETag: (devices) => registry.updateDevices(devices, false),
  delete: (devices) => registry.removeDevices(devices, true),
  deleteIfMatchETag: (devices) => registry.removeDevices(devices, false),
};

const steps = {
  async create(wanted) {
    return told((await registry.create(device(wanted))).responseBody);
  },
  async update(wanted) {
    return told((await registry.update(device(wanted))).responseBody);
  },
  async get({ name }) {
    return told((await registry.get(name)).responseBody);
  },
  async delete({ name }) {
    await registry.delete(name);
    return {};
  },
  async twin({ name }) {
    return toldTwin((await registry.getTwin(name)).responseBody);
  },
  async patch_twin({ name, etag, tags, desired }) {
    const patch = { tags, properties: { desired } };
    return toldTwin((await registry.updateTwin(name, patch, etag || '*')).responseBody);
  },
  async list() {
    return { ids: (await registry.list()).responseBody.map((found) => found.deviceId) };
  },
  async statistics() {
    const { responseBody } = await registry.getRegistryStatistics();
    return {
      total: responseBody.totalDeviceCount,
      enabled: responseBody.enabledDeviceCount,
      disabled: responseBody.disabledDeviceCount,
    };
  },
  async query({ text, size, twins }) {
    const query = registry.createQuery(text, size);
    const pages = [];
    let type;
    while (query.hasMoreResults) {
      const next = twins ? 'nextAsTwin' : 'next';
      // Without the token the promise of `next` gives the first page again and again.
      const { result, message } = await query[next](query.continuationToken);
      type = message.headers['x-ms-item-type'];
      pages.push(result.map((row) => (twins ? [row.deviceId, row.version] : row)));
    }
    return { type, pages };
  },
  async invoke({ name, method, payload }) {
    const { result } = await client.invokeDeviceMethod(name, {
      methodName: method,
      payload,
      responseTimeoutInSeconds: 20,
      connectTimeoutInSeconds: 10,
    });
    return { status: result.status, payload: result.payload };
  },
  async bulk({ mode, items }) {
    const devices = items.map(({ name, etag, status }) => ({ deviceId: name, etag, status }));
    let result;
    try {
      result = (await bulk[mode](devices)).responseBody;
    } catch (error) {
      // A part that failed is an error to this client, with the result in its body.
      result = JSON.parse(error.responseBody);
    }
    return {
      isSuccessful: result.isSuccessful,
      errors: result.errors.map((error) => [error.deviceId, error.errorCode]),
    };
  },
};

async function main() {
  for (const [name, values] of options.steps) {
    let facts;
    try {
      facts = await steps[name](values);
    } catch (error) {
      if (!error.response) throw error;
      facts = {
        refused: error.response.statusCode,
        errorCode: error.response.headers['iothub-errorcode'],
        name: error.name,
      };
    }
    process.stdout.write(JSON.stringify({ event: name, ...facts }) + '\n');
  }
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
