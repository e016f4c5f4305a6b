// Manages enrollments with azure-iot-provisioning-service from npm.
//
// The same contract as `../python_service.py`: one JSON document as argument with a connection
// string and steps, one JSON line per step on standard output. A step that the service refuses has
// the status in `refused`. Trust in the server comes from NODE_EXTRA_CA_CERTS.
//
// usage: node service.js '{"connectionString","steps":[[name, arguments], …]}'
'use strict';

const { ProvisioningServiceClient } = require('azure-iot-provisioning-service');

const options = JSON.parse(process.argv[2]);
const client = ProvisioningServiceClient.fromConnectionString(options.connectionString);

function attestation(wanted) {
  const slots = (certificate) => ({ primary: { certificate } });
  if (wanted.certificate) {
    return { type: 'x509', x509: { clientCertificates: slots(wanted.certificate) } };
  }
  if (wanted.signing) {
    return { type: 'x509', x509: { signingCertificates: slots(wanted.signing) } };
  }
  if (wanted.ca) {
    return { type: 'x509', x509: { caReferences: { primary: wanted.ca } } };
  }
  if (wanted.tpm) {
    return { type: 'tpm', tpm: { endorsementKey: wanted.tpm } };
  }
  return { type: 'symmetricKey' };
}

const kinds = {
  individual: {
    id: 'registrationId',
    get: 'getIndividualEnrollment',
    put: 'createOrUpdateIndividualEnrollment',
    remove: 'deleteIndividualEnrollment',
    query: 'createIndividualEnrollmentQuery',
    attestation: 'getIndividualEnrollmentAttestationMechanism',
  },
  group: {
    id: 'enrollmentGroupId',
    get: 'getEnrollmentGroup',
    put: 'createOrUpdateEnrollmentGroup',
    remove: 'deleteEnrollmentGroup',
    query: 'createEnrollmentGroupQuery',
    attestation: 'getEnrollmentGroupAttestationMechanism',
  },
  registration: { id: 'registrationId', remove: 'deleteDeviceRegistrationState' },
};

async function call(name, ...values) {
  const result = await client[name](...values);
  return result && 'responseBody' in result ? result.responseBody : result;
}

async function pagesOf(query, idOf) {
  const pages = [];
  while (query.hasMoreResults) {
    // Without the token its promise, unlike its callback, gives the first page again and again.
    const { responseBody } = await query.next(query.continuationToken);
    pages.push(responseBody.map((item) => item[idOf]));
  }
  return pages;
}

function told(kind, document) {
  const twin = document.initialTwin;
  const policy = document.reprovisionPolicy;
  return {
    id: document[kinds[kind].id],
    etag: document.etag,
    status: document.provisioningStatus,
    attestation: document.attestation,
    reprovision: [policy.updateHubAssignment, policy.migrateDeviceData],
    state: document.registrationState ? document.registrationState.status : null,
    tags: twin ? twin.tags : null,
    desired: twin ? twin.properties.desired : null,
  };
}

const steps = {
  async put({ kind, name, read, etag, status, tags, desired, ...wanted }) {
    const document = read
      ? await call(kinds[kind].get, name)
      : { [kinds[kind].id]: name, attestation: attestation(wanted) };
    if (etag !== undefined) document.etag = etag;
    if (status) document.provisioningStatus = status;
    if (tags) document.initialTwin = { tags, properties: { desired } };
    return told(kind, await call(kinds[kind].put, document));
  },
  async get({ kind, name }) {
    return told(kind, await call(kinds[kind].get, name));
  },
  async attestation({ kind, name }) {
    return { attestation: await call(kinds[kind].attestation, name) };
  },
  async delete({ kind, name, etag }) {
    await call(kinds[kind].remove, name, etag);
    return {};
  },
  async query({ kind, text, size }) {
    const query = client[kinds[kind].query]({ query: text }, size);
    return { pages: await pagesOf(query, kinds[kind].id) };
  },
  async bulk({ mode, items }) {
    const enrollments = items.map(({ name, ...wanted }) => ({
      registrationId: name,
      attestation: attestation(wanted),
    }));
    // Its promise never settles in 1.11.2; its callback does.
    const result = await new Promise((resolve, reject) => {
      client.runBulkEnrollmentOperation({ mode, enrollments }, (error, found) =>
        error ? reject(error) : resolve(found),
      );
    });
    return {
      isSuccessful: result.isSuccessful,
      errors: result.errors.map((error) => [error.registrationId, error.errorCode]),
    };
  },
  async registration({ name }) {
    const state = await call('getDeviceRegistrationState', name);
    return {
      status: state.status,
      assignedHub: state.assignedHub,
      deviceId: state.deviceId,
      etag: state.etag,
      created: state.createdDateTimeUtc,
    };
  },
  async registrations({ group }) {
    const query = client.createEnrollmentGroupDeviceRegistrationStateQuery(
      { query: '*' },
      group,
      1,
    );
    return { ids: (await pagesOf(query, 'registrationId')).flat() };
  },
};

async function main() {
  for (const [name, values] of options.steps) {
    let facts;
    try {
      facts = await steps[name](values);
    } catch (error) {
      if (!error.response) throw error;
      const body = JSON.parse(error.responseBody);
      facts = {
        refused: error.response.statusCode,
        errorCode: body.errorCode,
        message: body.message,
        trackingId: body.trackingId,
      };
    }
    process.stdout.write(JSON.stringify({ event: name, ...facts }) + '\n');
  }
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
