// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package android.util;

/** What the plugin uses of Android's class. */
public final class Base64 {
  public static final int DEFAULT = 0;

  private Base64() {}

  public static byte[] decode(String text, int flags) {
    return java.util.Base64.getMimeDecoder().decode(text);
  }

  public static byte[] decode(byte[] text, int flags) {
    return java.util.Base64.getMimeDecoder().decode(text);
  }
}
