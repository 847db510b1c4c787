// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Runs the updater as the main process of an app does. Standard input has one call a line, ["method", argument...]; standard
// output has one JSON object a line: {event, data} when the updater tells something, {result} or {error} when a call is done.
const { ElectronUpdater } = require("@capgo/electron-updater");
const readline = require("node:readline");

const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
console.log = console.warn = console.error = (...args) => process.stderr.write(args.join(" ") + "\n");

async function main() {
  const updater = new ElectronUpdater(JSON.parse(process.argv[2]));
  for (const event of ["updateAvailable", "noNeedUpdate", "downloadComplete", "downloadFailed", "updateFailed", "appReady"]) {
    updater.addListener(event, (data) => say({ event, data }));
  }
  const page = { on: () => {}, loadFile: async (path) => say({ event: "page", data: { path } }) };
  await updater.initialize(page, "builtin/index.html");
  say({ result: "initialized" });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [method, ...args] = JSON.parse(line);
    try {
      say({ result: (await updater[method](...args)) ?? null });
    } catch (error) {
      say({ error: error.message });
    }
  }
  process.exit(0);
}

main();
