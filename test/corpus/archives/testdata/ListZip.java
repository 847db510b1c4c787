// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

import java.io.*;
import java.nio.file.*;
import java.security.*;
import java.util.*;
import java.util.zip.*;

/** Lists the files of the zip archives that are named on standard input, as an app does that reads a stream, and as one that opens a file. */
public class ListZip {
    static final PrintStream out = new PrintStream(new BufferedOutputStream(System.out), false, java.nio.charset.StandardCharsets.UTF_8);

    public static void main(String[] args) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in));
        for (String path; (path = in.readLine()) != null;) {
            try (var zip = new ZipInputStream(new BufferedInputStream(new FileInputStream(path)))) {
                for (ZipEntry e; (e = zip.getNextEntry()) != null;)
                    print("ZipInputStream", path, e, zip);
            } catch (Exception e) {
                out.println("ZipInputStream\t" + path + "\tERROR " + e + "\t0\t-");
            }
            try (var zip = new ZipFile(path)) {
                for (var e : Collections.list(zip.entries()))
                    print("ZipFile", path, e, zip.getInputStream(e));
            } catch (Exception e) {
                out.println("ZipFile\t" + path + "\tERROR " + e + "\t0\t-");
            }
        }
        out.flush();
    }

    static void print(String tool, String path, ZipEntry e, InputStream in) throws Exception {
        var sum = MessageDigest.getInstance("SHA-256");
        long size = 0;
        var buffer = new byte[65536];
        for (int n; (n = in.read(buffer)) > 0; size += n)
            sum.update(buffer, 0, n);
        if (!e.isDirectory())
            out.println(tool + "\t" + path + "\t" + e.getName() + "\t" + size + "\t" + HexFormat.of().formatHex(sum.digest()));
    }
}
