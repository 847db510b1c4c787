// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// A device with tuf-js: reads jobs as lines of JSON from standard input, and writes what became of each as a line. A job names the
// folder of the client's state, which holds root.json to begin with.
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const { Updater } = require(path.join(process.argv[2], 'node_modules', 'tuf-js'));

async function run(job) {
  const updater = new Updater({
    metadataDir: job.dir, metadataBaseUrl: job.url + '/metadata', targetDir: job.dir, targetBaseUrl: job.url + '/targets',
    config: { fetchRetry: 0, fetchTimeout: job.timeoutMs },
  });
  if (job.now) updater.trustedSet.referenceTime = new Date(job.now);
  await updater.refresh();
  const info = await updater.getTargetInfo(job.target);
  if (!info) throw new Error('no such target');
  const file = await updater.downloadTarget(info, path.join(job.dir, 'target'));
  return fs.readFileSync(file).toString('base64');
}

const lines = readline.createInterface({ input: process.stdin });
(async () => {
  for await (const line of lines) {
    const job = JSON.parse(line);
    let result;
    try {
      result = { content: await run(job) };
    } catch (error) {
      result = { error: `${error.name}: ${error.message}` };
    }
    process.stdout.write(JSON.stringify(result) + '\n');
  }
})();
