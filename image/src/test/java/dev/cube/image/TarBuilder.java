package dev.cube.image;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarConstants;

/** Writes tar archives, also such as no tool would write. */
final class TarBuilder {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private final TarArchiveOutputStream tar = new TarArchiveOutputStream(bytes, "UTF-8");

    TarBuilder() {
        tar.setLongFileMode(TarArchiveOutputStream.LONGFILE_POSIX);
        tar.setBigNumberMode(TarArchiveOutputStream.BIGNUMBER_POSIX);
        tar.setAddPaxHeadersForNonAsciiNames(true);
    }

    TarBuilder gnu() {
        tar.setLongFileMode(TarArchiveOutputStream.LONGFILE_GNU);
        tar.setBigNumberMode(TarArchiveOutputStream.BIGNUMBER_STAR);
        return this;
    }

    TarBuilder file(String name, String content) {
        return file(name, content, 0644, 0, 0, Map.of());
    }

    TarBuilder file(String name, String content, int mode, long uid, long gid, Map<String, String> paxHeaders) {
        TarArchiveEntry entry = entry(name, TarConstants.LF_NORMAL, mode, uid, gid);
        paxHeaders.forEach(entry::addPaxHeader);
        return put(entry, content.getBytes(StandardCharsets.UTF_8));
    }

    TarBuilder directory(String name) {
        return directory(name, 0755);
    }

    TarBuilder directory(String name, int mode) {
        return put(entry(name, TarConstants.LF_DIR, mode, 0, 0), new byte[0]);
    }

    TarBuilder symbolicLink(String name, String target) {
        TarArchiveEntry entry = entry(name, TarConstants.LF_SYMLINK, 0777, 0, 0);
        entry.setLinkName(target);
        return put(entry, new byte[0]);
    }

    TarBuilder hardLink(String name, String target) {
        TarArchiveEntry entry = entry(name, TarConstants.LF_LINK, 0644, 0, 0);
        entry.setLinkName(target);
        return put(entry, new byte[0]);
    }

    TarBuilder device(String name, byte type, int mode, int major, int minor) {
        TarArchiveEntry entry = entry(name, type, mode, 0, 0);
        entry.setDevMajor(major);
        entry.setDevMinor(minor);
        return put(entry, new byte[0]);
    }

    /** A pax record for the next entry, written as it is. */
    TarBuilder pax(String key, String value) {
        int rest = key.length() + value.length() + 3;
        int length = rest + Integer.toString(rest).length();
        length = rest + Integer.toString(length).length();
        return raw("pax", (byte) 'x', "%d %s=%s\n".formatted(length, key, value).getBytes(StandardCharsets.UTF_8));
    }

    /** An entry of any type, for instance a header that belongs to the next entry. */
    TarBuilder raw(String name, byte type, byte[] content) {
        return put(entry(name, type, 0644, 0, 0), content);
    }

    private static TarArchiveEntry entry(String name, byte type, int mode, long uid, long gid) {
        TarArchiveEntry entry = new TarArchiveEntry(name, type, true);
        entry.setMode(mode);
        entry.setUserId(uid);
        entry.setGroupId(gid);
        entry.setModTime(1_700_000_000_000L);
        return entry;
    }

    private TarBuilder put(TarArchiveEntry entry, byte[] content) {
        try {
            entry.setSize(content.length);
            tar.putArchiveEntry(entry);
            tar.write(content);
            tar.closeArchiveEntry();
            return this;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    byte[] build() {
        try {
            tar.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }
}
