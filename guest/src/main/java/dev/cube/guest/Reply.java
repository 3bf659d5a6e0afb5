package dev.cube.guest;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** Reads what the guest answered. Every method throws {@link ProtocolViolation} where the bytes are not as they should. */
final class Reply {
    private static final FileInfo.Type[] TYPES = FileInfo.Type.values();
    private static final FileEvent.Type[] EVENT_TYPES = FileEvent.Type.values();
    /** Instead of the type of what a symbolic link leads to. */
    private static final int LEADS_NOWHERE = 4;
    private static final int LEADS_IN_A_CIRCLE = 5;

    private final ByteBuffer bytes;

    Reply(ByteBuffer bytes) {
        this.bytes = bytes.order(ByteOrder.LITTLE_ENDIAN);
    }

    Reply(byte[] bytes) {
        this(ByteBuffer.wrap(bytes));
    }

    boolean hasMore() {
        return bytes.hasRemaining();
    }

    int u8() {
        return Byte.toUnsignedInt(need(1).get());
    }

    int u16() {
        return Short.toUnsignedInt(need(2).getShort());
    }

    /** An unsigned 32-bit number that fits Java's int, as counts, lengths and process IDs do. */
    int count() {
        int value = need(4).getInt();
        if (value < 0) {
            throw new ProtocolViolation("number %s out of range".formatted(Integer.toUnsignedString(value)));
        }
        return value;
    }

    long size() {
        long value = need(8).getLong();
        if (value < 0) {
            throw new ProtocolViolation("size %s out of range".formatted(Long.toUnsignedString(value)));
        }
        return value;
    }

    String string() {
        int length = count();
        need(length);
        byte[] utf8 = new byte[length];
        bytes.get(utf8);
        return new String(utf8, StandardCharsets.UTF_8);
    }

    void end() {
        if (bytes.hasRemaining()) {
            throw new ProtocolViolation("%d bytes too many in an answer".formatted(bytes.remaining()));
        }
    }

    /** What is left, as a message for people. */
    String message() {
        return StandardCharsets.UTF_8.decode(bytes).toString();
    }

    FileInfo fileInfo() {
        int type = u8();
        if (type >= TYPES.length) {
            throw new ProtocolViolation("unknown file type " + type);
        }
        int mode = count() & 07777;
        long size = size();
        Instant modified = instant();
        String owner = string();
        String group = string();
        String path = string();
        Optional<FileInfo.Link> link = TYPES[type] == FileInfo.Type.SYMLINK ? Optional.of(link()) : Optional.empty();
        String name = path.substring(path.lastIndexOf('/') + 1);
        return new FileInfo(path, name, TYPES[type], size, mode, owner, group, modified, link, metadata());
    }

    private FileInfo.Link link() {
        String text = string();
        int type = u8();
        if (type == LEADS_NOWHERE || type == LEADS_IN_A_CIRCLE) {
            return new FileInfo.Link(text, Optional.empty(), type == LEADS_IN_A_CIRCLE);
        }
        if (type >= TYPES.length) {
            throw new ProtocolViolation("unknown type of a link's target " + type);
        }
        int mode = count() & 07777;
        return new FileInfo.Link(text, Optional.of(new FileInfo.Target(string(), TYPES[type], mode)), false);
    }

    /** Attributes can hold any bytes; what is no text is no client's metadata. */
    private Map<String, String> metadata() {
        int count = count();
        Map<String, String> metadata = new TreeMap<>();
        for (int i = 0; i < count; i++) {
            Optional<String> key = text();
            Optional<String> value = text();
            if (key.isPresent() && value.isPresent()) {
                metadata.put(key.get(), value.get());
            }
        }
        return metadata;
    }

    private Optional<String> text() {
        int length = count();
        ByteBuffer utf8 = need(length).slice(bytes.position(), length);
        bytes.position(bytes.position() + length);
        try {
            return Optional.of(StandardCharsets.UTF_8.newDecoder().decode(utf8).toString());
        } catch (CharacterCodingException e) {
            return Optional.empty();
        }
    }

    FileEvent fileEvent() {
        int type = u8();
        if (type < 1 || type > EVENT_TYPES.length) {
            throw new ProtocolViolation("unknown file event " + type);
        }
        String name = string();
        return new FileEvent(EVENT_TYPES[type - 1], name, u8() == 0 ? Optional.empty() : Optional.of(fileInfo()));
    }

    private Instant instant() {
        long seconds = need(8).getLong();
        int nanos = count();
        try {
            return Instant.ofEpochSecond(seconds, nanos);
        } catch (DateTimeException | ArithmeticException e) {
            throw new ProtocolViolation("time %d out of range".formatted(seconds));
        }
    }

    GuestUser user() {
        int uid = need(4).getInt();
        int gid = need(4).getInt();
        return new GuestUser(string(), uid, gid, string(), string());
    }

    /** A process, told by the request that started it. */
    ProcessInfo process() {
        int pid = count();
        int length = count();
        need(length);
        var request = new Reply(bytes.slice(bytes.position(), length));
        bytes.position(bytes.position() + length);
        return request.started(pid);
    }

    private ProcessInfo started(int pid) {
        String command = terminated();
        List<String> args = strings();
        Map<String, String> environment = new LinkedHashMap<>();
        for (String variable : strings()) {
            int equals = variable.indexOf('=');
            if (equals < 0) {
                throw new ProtocolViolation("environment variable without '='");
            }
            environment.put(variable.substring(0, equals), variable.substring(equals + 1));
        }
        int flags = u8();
        u16();
        u16();
        Optional<String> cwd = optional(terminated());
        terminated();
        Optional<String> tag = optional(terminated());
        return new ProcessInfo(pid, command, args, environment, cwd, tag, (flags & StartFlags.PTY) != 0,
                (flags & StartFlags.STDIN) != 0);
    }

    private List<String> strings() {
        int count = count();
        List<String> strings = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            strings.add(terminated());
        }
        return strings;
    }

    /** A string as a request has it, with a zero byte behind. */
    private String terminated() {
        String value = string();
        if (u8() != 0) {
            throw new ProtocolViolation("string without its end");
        }
        return value;
    }

    private static Optional<String> optional(String value) {
        return value.isEmpty() ? Optional.empty() : Optional.of(value);
    }

    GuestMetrics metrics() {
        int cpus = count();
        long busy = size();
        long total = size();
        double percent = total == 0 ? 0 : Math.min(100.0, 100.0 * busy / total);
        return new GuestMetrics(cpus, percent, size(), size(), size(), size(), size());
    }

    private ByteBuffer need(int length) {
        if (bytes.remaining() < length) {
            throw new ProtocolViolation("answer is cut short");
        }
        return bytes;
    }
}
