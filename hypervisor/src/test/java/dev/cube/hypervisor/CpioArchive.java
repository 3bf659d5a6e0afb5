package dev.cube.hypervisor;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/** Writes an initramfs: a cpio archive of the "newc" kind, as the kernel's {@code buffer-format.rst} describes it. */
final class CpioArchive {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private int inode = 1;

    void directory(String name) {
        entry(name, 0040755, new byte[0]);
    }

    void file(String name, int permissions, byte[] content) {
        entry(name, 0100000 | permissions, content);
    }

    byte[] finish() {
        entry("TRAILER!!!", 0, new byte[0]);
        return out.toByteArray();
    }

    private void entry(String name, int mode, byte[] content) {
        byte[] nameBytes = (name + "\0").getBytes(StandardCharsets.US_ASCII);
        int[] fields = {inode++, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, nameBytes.length, 0};
        StringBuilder header = new StringBuilder("070701");
        for (int field : fields) {
            header.append("%08X".formatted(field));
        }
        out.writeBytes(header.toString().getBytes(StandardCharsets.US_ASCII));
        out.writeBytes(nameBytes);
        pad();
        out.writeBytes(content);
        pad();
    }

    private void pad() {
        while (out.size() % 4 != 0) {
            out.write(0);
        }
    }
}
