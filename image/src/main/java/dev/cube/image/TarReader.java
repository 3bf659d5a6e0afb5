package dev.cube.image;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads a tar archive that may be hostile: old Unix, ustar, GNU (long names, sparse files, base-256 numbers) and POSIX
 * pax headers, with the extended attributes that container tools write as {@code SCHILY.xattr.*}.
 *
 * <p>Commons Compress is not used because it decodes pax values as UTF-8, which destroys {@code security.capability} and
 * names in other encodings.
 *
 * <p>Formats: POSIX.1-2024 pax, and the GNU tar manual, "Basic Tar Format" and "Storing Sparse Files".
 */
final class TarReader {
    private static final int BLOCK = 512;
    private static final int MAX_HEADER_RECORDS = 1 << 20;
    private static final int MAX_LONG_NAME = 1 << 16;
    private static final int MAX_EXTENTS = 1 << 18;
    private static final String ATTRIBUTE_PREFIX = "SCHILY.xattr.";

    private final InputStream in;
    private final byte[] block = new byte[BLOCK];
    private final Map<String, byte[]> globalRecords = new HashMap<>();
    /** Content of the current entry that is still in the stream, and the padding after it. */
    private long remaining;
    private int padding;

    TarReader(InputStream in) {
        this.in = in;
    }

    /** Skips to the next entry; {@code null} at the end of the archive. */
    TarEntry next() throws IOException {
        Map<String, byte[]> records = new HashMap<>(globalRecords);
        List<TarEntry.Extent> pairs = new ArrayList<>();
        String longName = null;
        String longLink = null;
        while (true) {
            skip(remaining + padding);
            remaining = 0;
            padding = 0;
            if (!readBlock() || isZero(block)) {
                return null;
            }
            checkSum();
            long size = number(124, 12, "size");
            if (size < 0 || size > Long.MAX_VALUE - BLOCK) {
                throw new ImageException("damaged tar archive: an entry of impossible size");
            }
            char type = (char) (block[156] & 0xff);
            switch (type) {
                case 'x', 'X' -> parseRecords(content(size, MAX_HEADER_RECORDS), records, pairs);
                case 'g' -> {
                    parseRecords(content(size, MAX_HEADER_RECORDS), globalRecords, pairs);
                    records.putAll(globalRecords);
                }
                case 'L' -> longName = untilNul(content(size, MAX_LONG_NAME));
                case 'K' -> longLink = untilNul(content(size, MAX_LONG_NAME));
                case 'V' -> setRemaining(size);
                default -> {
                    return entry(type, size, records, pairs, longName, longLink);
                }
            }
        }
    }

    /** Reads content of the current entry; -1 at its end. */
    int read(byte[] buffer, int offset, int length) throws IOException {
        if (remaining == 0) {
            return -1;
        }
        int n = in.read(buffer, offset, (int) Math.min(length, remaining));
        if (n < 0) {
            throw truncated();
        }
        remaining -= n;
        return n;
    }

    private TarEntry entry(char flag, long headerSize, Map<String, byte[]> records, List<TarEntry.Extent> pairs,
            String longName, String longLink) throws IOException {
        String name = text(records, "path", longName != null ? longName : headerName());
        String link = text(records, "linkpath", longLink != null ? longLink : field(157, 100));
        TarEntry.Type type = switch (flag) {
            case '0', '\0', '7', 'S' -> name.endsWith("/") ? TarEntry.Type.DIRECTORY : TarEntry.Type.FILE;
            case '1' -> TarEntry.Type.HARD_LINK;
            case '2' -> TarEntry.Type.SYMBOLIC_LINK;
            case '3' -> TarEntry.Type.CHARACTER_DEVICE;
            case '4' -> TarEntry.Type.BLOCK_DEVICE;
            case '5' -> TarEntry.Type.DIRECTORY;
            case '6' -> TarEntry.Type.FIFO;
            default -> throw new ImageException("tar entry '%s' is of unknown type %s"
                    .formatted(RawName.display(name), RawName.display("" + flag)));
        };
        int mode = (int) (number(100, 8, "mode") & 07777);
        int uid = id(records, "uid", 108);
        int gid = id(records, "gid", 116);
        TarEntry.Time time = records.containsKey("mtime")
                ? time(text(records, "mtime", ""))
                : new TarEntry.Time(number(136, 12, "time"), 0);
        boolean device = type == TarEntry.Type.CHARACTER_DEVICE || type == TarEntry.Type.BLOCK_DEVICE;
        int major = device ? (int) number(329, 8, "device number") : 0;
        int minor = device ? (int) number(337, 8, "device number") : 0;
        Map<String, byte[]> attributes = new HashMap<>();
        records.forEach((key, value) -> {
            if (key.startsWith(ATTRIBUTE_PREFIX)) {
                attributes.put(key.substring(ATTRIBUTE_PREFIX.length()), value);
            }
        });

        long stored = 0;
        long size = 0;
        List<TarEntry.Extent> sparse = null;
        if (type == TarEntry.Type.FILE) {
            stored = records.containsKey("size") ? decimal(text(records, "size", "")) : headerSize;
            size = stored;
            if (flag == 'S') {
                size = number(483, 12, "size");
                sparse = gnuExtents();
                setRemaining(stored);
            } else if (text(records, "GNU.sparse.major", "").equals("1")) {
                name = text(records, "GNU.sparse.name", name);
                size = decimal(text(records, "GNU.sparse.realsize", ""));
                setRemaining(stored);
                sparse = extentsBeforeContent();
                stored = remaining;
            } else if (records.containsKey("GNU.sparse.size")) {
                name = text(records, "GNU.sparse.name", name);
                size = decimal(text(records, "GNU.sparse.size", ""));
                sparse = records.containsKey("GNU.sparse.map") ? extents(text(records, "GNU.sparse.map", "")) : pairs;
                setRemaining(stored);
            } else {
                setRemaining(stored);
            }
            if (sparse != null) {
                checkExtents(name, sparse, stored, size);
            }
        }
        return new TarEntry(name, type, stored, size, mode, uid, gid, time, link, major, minor, attributes, sparse);
    }

    private String headerName() {
        String name = field(0, 100);
        boolean posix = field(257, 6).equals("ustar") && block[263] == '0';
        String prefix = posix ? field(345, 155) : "";
        return prefix.isEmpty() ? name : prefix + "/" + name;
    }

    private int id(Map<String, byte[]> records, String key, int offset) {
        long id = records.containsKey(key) ? decimal(text(records, key, "")) : number(offset, 8, key);
        if (id < 0 || id > 0xfffffffeL) {
            throw new ImageException("damaged tar archive: impossible %s %d".formatted(key, id));
        }
        return (int) id;
    }

    /** The map in the header of an old GNU sparse entry, and in the blocks that follow it. */
    private List<TarEntry.Extent> gnuExtents() throws IOException {
        List<TarEntry.Extent> extents = new ArrayList<>();
        int offset = 386;
        int count = 4;
        int more = 482;
        while (true) {
            for (int i = 0; i < count; i++, offset += 24) {
                if (block[offset] == 0) {
                    break;
                }
                add(extents, number(offset, 12, "sparse map"), number(offset + 12, 12, "sparse map"));
            }
            if (block[more] == 0) {
                return extents;
            }
            if (!readBlock()) {
                throw truncated();
            }
            offset = 0;
            count = 21;
            more = 504;
        }
    }

    /** The map of sparse format 1.0: decimal numbers on lines of their own, padded to a block. */
    private List<TarEntry.Extent> extentsBeforeContent() throws IOException {
        MapText text = new MapText();
        long count = text.next();
        if (count > MAX_EXTENTS) {
            throw new ImageException("tar entry with more than %d sparse extents".formatted(MAX_EXTENTS));
        }
        List<TarEntry.Extent> extents = new ArrayList<>();
        for (long i = 0; i < count; i++) {
            long offset = text.next();
            add(extents, offset, text.next());
        }
        return extents;
    }

    private final class MapText {
        private int at = BLOCK;

        long next() throws IOException {
            StringBuilder digits = new StringBuilder();
            while (true) {
                if (at == BLOCK) {
                    if (remaining < BLOCK || !readBlock()) {
                        throw truncated();
                    }
                    remaining -= BLOCK;
                    at = 0;
                }
                char c = (char) (block[at++] & 0xff);
                if (c == '\n') {
                    return decimal(digits.toString());
                }
                if (digits.append(c).length() > 20) {
                    throw new ImageException("damaged tar archive: bad sparse map");
                }
            }
        }
    }

    private static List<TarEntry.Extent> extents(String map) {
        List<TarEntry.Extent> extents = new ArrayList<>();
        String[] numbers = map.isEmpty() ? new String[0] : map.split(",", -1);
        if (numbers.length % 2 != 0) {
            throw new ImageException("damaged tar archive: bad sparse map");
        }
        for (int i = 0; i < numbers.length; i += 2) {
            add(extents, decimal(numbers[i]), decimal(numbers[i + 1]));
        }
        return extents;
    }

    private static void add(List<TarEntry.Extent> extents, long offset, long length) {
        if (extents.size() == MAX_EXTENTS) {
            throw new ImageException("tar entry with more than %d sparse extents".formatted(MAX_EXTENTS));
        }
        extents.add(new TarEntry.Extent(offset, length));
    }

    private static void checkExtents(String name, List<TarEntry.Extent> extents, long stored, long size) {
        long end = 0;
        long total = 0;
        boolean valid = size >= 0;
        for (TarEntry.Extent extent : extents) {
            valid &= extent.offset() >= end && extent.length() >= 0 && extent.length() <= size
                    && extent.offset() <= size - extent.length();
            if (!valid) {
                break;
            }
            end = extent.offset() + extent.length();
            total += extent.length();
        }
        if (!valid || total != stored) {
            throw new ImageException("tar entry '%s' has an impossible sparse map".formatted(RawName.display(name)));
        }
    }

    /** Parses pax records: {@code LENGTH KEY=VALUE\n}, where the length counts the whole record. */
    private static void parseRecords(byte[] data, Map<String, byte[]> records, List<TarEntry.Extent> pairs) {
        long pendingOffset = -1;
        int at = 0;
        while (at < data.length && data[at] != 0) {
            int space = indexOf(data, ' ', at);
            long length = space < 0 || space - at > 9 ? -1 : decimal(RawName.of(data, at, space - at));
            if (length <= space + 1L - at || length > data.length - at || data[(int) (at + length - 1)] != '\n') {
                throw new ImageException("damaged tar archive: bad pax record");
            }
            int end = (int) (at + length - 1);
            int equals = indexOf(data, '=', space + 1);
            if (equals < 0 || equals >= end) {
                throw new ImageException("damaged tar archive: bad pax record");
            }
            String key = RawName.of(data, space + 1, equals - space - 1);
            byte[] value = Arrays.copyOfRange(data, equals + 1, end);
            switch (key) {
                case "GNU.sparse.offset" -> pendingOffset = decimal(RawName.of(value, 0, value.length));
                case "GNU.sparse.numbytes" -> {
                    if (pendingOffset < 0) {
                        throw new ImageException("damaged tar archive: bad sparse map");
                    }
                    add(pairs, pendingOffset, decimal(RawName.of(value, 0, value.length)));
                    pendingOffset = -1;
                }
                default -> {
                    if (value.length == 0) {
                        records.remove(key);
                    } else {
                        records.put(key, value);
                    }
                }
            }
            at = end + 1;
        }
    }

    private static TarEntry.Time time(String text) {
        if (!text.matches("-?\\d{1,15}(\\.\\d*)?")) {
            throw new ImageException("damaged tar archive: bad time '%s'".formatted(RawName.display(text)));
        }
        int dot = text.indexOf('.');
        long seconds = Long.parseLong(dot < 0 ? text : text.substring(0, dot));
        int nanos = dot < 0 ? 0 : Integer.parseInt((text.substring(dot + 1) + "000000000").substring(0, 9));
        return text.startsWith("-") && nanos > 0
                ? new TarEntry.Time(seconds - 1, 1_000_000_000 - nanos)
                : new TarEntry.Time(seconds, nanos);
    }

    private static String text(Map<String, byte[]> records, String key, String otherwise) {
        byte[] value = records.get(key);
        if (value == null) {
            return otherwise;
        }
        String text = RawName.of(value, 0, value.length);
        if (text.indexOf('\0') >= 0) {
            throw new ImageException("damaged tar archive: NUL in the pax record '%s'".formatted(key));
        }
        return text;
    }

    private static long decimal(String text) {
        if (!text.matches("\\d{1,18}")) {
            throw new ImageException("damaged tar archive: '%s' is not a number".formatted(RawName.display(text)));
        }
        return Long.parseLong(text);
    }

    /** A number field: octal text, or big-endian binary where the first bit is set. */
    private long number(int offset, int length, String what) {
        if ((block[offset] & 0x80) != 0) {
            boolean negative = (block[offset] & 0x40) != 0;
            long value = negative ? -1L : 0;
            for (int i = 0; i < length; i++) {
                int b = block[offset + i] & 0xff;
                if (i == 0) {
                    b = negative ? b | 0x80 : b & 0x7f;
                }
                if (value >> 55 != (negative ? -1 : 0)) {
                    throw new ImageException("damaged tar archive: %s out of range".formatted(what));
                }
                value = value << 8 | b;
            }
            return value;
        }
        String text = field(offset, length).strip();
        if (text.isEmpty()) {
            return 0;
        }
        if (!text.matches("[0-7]{1,12}")) {
            throw new ImageException("damaged tar archive: %s is not a number".formatted(what));
        }
        return Long.parseLong(text, 8);
    }

    private String field(int offset, int length) {
        int end = offset;
        while (end < offset + length && block[end] != 0) {
            end++;
        }
        return RawName.of(block, offset, end - offset);
    }

    /** The sum of all header bytes, its own field taken as blanks; some old archives sum signed bytes. */
    private void checkSum() {
        long unsigned = 0;
        long signed = 0;
        for (int i = 0; i < BLOCK; i++) {
            byte b = i >= 148 && i < 156 ? (byte) ' ' : block[i];
            unsigned += b & 0xff;
            signed += b;
        }
        long expected = number(148, 8, "checksum");
        if (expected != unsigned && expected != signed) {
            throw new ImageException("damaged tar archive: a header's checksum is wrong");
        }
    }

    private byte[] content(long size, int limit) throws IOException {
        if (size > limit) {
            throw new ImageException("tar archive with a header of %d bytes, more than %d".formatted(size, limit));
        }
        setRemaining(size);
        byte[] data = in.readNBytes((int) size);
        if (data.length < size) {
            throw truncated();
        }
        remaining = 0;
        return data;
    }

    private void setRemaining(long size) {
        if (size > Long.MAX_VALUE - BLOCK) {
            throw new ImageException("damaged tar archive: an entry of impossible size");
        }
        remaining = size;
        padding = (int) ((BLOCK - size % BLOCK) % BLOCK);
    }

    private void skip(long count) throws IOException {
        try {
            in.skipNBytes(count);
        } catch (EOFException e) {
            throw truncated();
        }
    }

    /** False where the stream ends, which some writers let happen without the two closing blocks. */
    private boolean readBlock() throws IOException {
        int n = in.readNBytes(block, 0, BLOCK);
        if (n != 0 && n != BLOCK) {
            throw truncated();
        }
        return n == BLOCK;
    }

    private static ImageException truncated() {
        return new ImageException("the tar archive ends too early");
    }

    private static String untilNul(byte[] data) {
        int end = indexOf(data, '\0', 0);
        return RawName.of(data, 0, end < 0 ? data.length : end);
    }

    private static int indexOf(byte[] data, char wanted, int from) {
        for (int i = from; i < data.length; i++) {
            if (data[i] == wanted) {
                return i;
            }
        }
        return -1;
    }

    private static boolean isZero(byte[] data) {
        for (byte b : data) {
            if (b != 0) {
                return false;
            }
        }
        return true;
    }
}
