package dev.cube.envd.user;

import java.util.ArrayDeque;

/** Paths in the guest, as text: absolute, parted by slashes. */
public final class GuestPaths {
    private GuestPaths() {}

    /** {@code path} below {@code base}, without empty parts, {@code .} and {@code ..}. */
    public static String join(String base, String path) {
        var parts = new ArrayDeque<String>();
        for (String part : (base + "/" + path).split("/")) {
            switch (part) {
                case "", "." -> { }
                case ".." -> parts.pollLast();
                default -> parts.addLast(part);
            }
        }
        return "/" + String.join("/", parts);
    }

    /** The directory that a path is in. */
    public static String parent(String path) {
        return join(path, "..");
    }

    /** The last part of a path. */
    public static String name(String path) {
        String clean = join(path, "");
        return clean.substring(clean.lastIndexOf('/') + 1);
    }
}
