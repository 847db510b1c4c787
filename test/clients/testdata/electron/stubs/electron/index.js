// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// What the updater needs of Electron, without a window: a folder for its data and a packaged build.
module.exports = {
  app: {
    getPath: () => process.env.USER_DATA,
    getVersion: () => process.env.APP_VERSION,
    isPackaged: true,
    on: () => {},
  },
  safeStorage: { isEncryptionAvailable: () => false },
  ipcMain: { handle: () => {}, removeHandler: () => {} },
  globalShortcut: { register: () => {}, unregister: () => {} },
};
