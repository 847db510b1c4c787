// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

import java.io.*;
import java.nio.file.*;
import java.util.zip.*;

/** Packs a folder with ZipOutputStream, as build tools on the JVM do. */
public class WriteZip {
    public static void main(String[] args) throws Exception {
        Path dir = Path.of(args[0]);
        try (var zip = new ZipOutputStream(new FileOutputStream(args[1])); var files = Files.walk(dir)) {
            for (Path file : (Iterable<Path>) files.sorted()::iterator) {
                String name = dir.relativize(file).toString().replace('\\', '/');
                if (name.isEmpty())
                    continue;
                var entry = new ZipEntry(Files.isDirectory(file) ? name + "/" : name);
                entry.setLastModifiedTime(Files.getLastModifiedTime(file));
                zip.putNextEntry(entry);
                if (!Files.isDirectory(file))
                    Files.copy(file, zip);
                zip.closeEntry();
            }
        }
    }
}
