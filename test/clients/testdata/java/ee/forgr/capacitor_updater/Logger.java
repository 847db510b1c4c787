// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ee.forgr.capacitor_updater;

/** Stands for the plugin's logger, which needs Android. */
public class Logger {
  public void debug(String message) {}

  public void info(String message) {}

  public void error(String message) {
    System.err.println(message);
  }
}
