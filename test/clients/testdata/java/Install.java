// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

import ee.forgr.capacitor_updater.CryptoCipher;
import ee.forgr.capacitor_updater.Logger;
import java.io.File;

/**
 * Does with a downloaded file what the plugin does before it unzips it, in the plugin's order. Arguments: the app's public key,
 * session_key and checksum of the answer, and the file, which is decrypted in place. Prints "installed" or "refused: why".
 */
public class Install {
  public static void main(String[] args) {
    String publicKey = args[0], sessionKey = args[1], checksum = args[2];
    File file = new File(args[3]);
    CryptoCipher.setLogger(new Logger());
    System.out.println(install(publicKey, sessionKey, checksum, file));
  }

  private static String install(String publicKey, String sessionKey, String checksum, File file) {
    if (!CryptoCipher.isValidSessionKey(sessionKey)) {
      return "refused: session_key_required";
    }
    try {
      CryptoCipher.decryptFile(file, publicKey, sessionKey);
      String want = CryptoCipher.decryptChecksum(checksum, publicKey);
      String got = CryptoCipher.calcChecksum(file);
      return want.equals(got) ? "installed" : "refused: checksum_fail";
    } catch (Exception e) {
      return "refused: " + e;
    }
  }
}
