// Runs in a container of a task: what AWS's credential provider and OpenTelemetry's detector find, as one line of JSON.
"use strict";

const { fromHttp } = require("@aws-sdk/credential-provider-http");
const { awsEcsDetector } = require("@opentelemetry/resource-detector-aws");

async function main() {
  const credentials = await fromHttp({})();
  const { attributes } = awsEcsDetector.detect();
  const found = {};
  for (const [name, value] of Object.entries(attributes)) {
    found[name] = await value;
  }
  const { accessKeyId, sessionToken, expiration } = credentials;
  const isLater = expiration.getTime() > Date.now();
  console.log(JSON.stringify({ attributes: found, credentials: { accessKeyId, hasToken: !!sessionToken, isLater } }));
}

main();
