package dev.cube.envd.interpreter;

import dev.cube.guest.ProcessEvent;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Map;
import java.util.Queue;

/**
 * What {@code kernel.bash} speaks: commands on standard input; on standard output and standard error what cells print,
 * with marks where one begins and ends. A mark is {@code RS cube:ID:WORD:NUMBER LF}, where the ID is the execution's and
 * cannot be guessed, so that nothing printed by accident is taken for one. Both streams carry them, because what comes on
 * one is in no order with what comes on the other.
 */
final class BashProtocol implements KernelProtocol {
    private static final byte MARK = 0x1e;
    private static final String READY = "cube:kernel:ready:0";
    private static final int STREAMS = 2;
    /** Pieces of text that may come on one stream before the other's mark, which was written first. */
    private static final int MAX_EARLY = 1024;
    /** Longer than any mark. */
    private static final int MAX_MARK = 80;

    private final Queue<KernelEvent> events = new ArrayDeque<>();
    private final MarkedStream output = new MarkedStream(false);
    private final MarkedStream errors = new MarkedStream(true);
    /** What one stream said after its beginning while the other's was still to come. */
    private final Queue<KernelEvent> early = new ArrayDeque<>();
    private String id = "";
    private int beginnings;
    private int ends;

    @Override
    public byte[] execute(String execution, String code, Map<String, String> environment) {
        id = execution;
        beginnings = 0;
        ends = 0;
        output.begun = false;
        errors.begun = false;
        early.clear();
        var request = new StringBuilder("__cube_begin ").append(id);
        environment.forEach((name, value) -> request.append(' ').append(quoted(name)).append(' ').append(quoted(value)));
        // On lines of their own: an interrupt takes the rest of its line with it.
        request.append("\neval ").append(quoted(code)).append(" </dev/null\n__cube_end ").append(id).append(" $?\n");
        return request.toString().getBytes(StandardCharsets.UTF_8);
    }

    /** Bash takes a signal before it reads on. */
    @Override
    public byte[] settle() {
        return new byte[0];
    }

    @Override
    public void add(ProcessEvent.Stream stream, byte[] data) {
        (stream == ProcessEvent.Stream.STDOUT ? output : errors).add(data);
    }

    @Override
    public boolean hasNext() {
        return !events.isEmpty();
    }

    @Override
    public KernelEvent poll() {
        return events.poll();
    }

    /** As a word of one line; Bash's strings hold no zero bytes. */
    private static String quoted(String text) {
        var word = new StringBuilder("$'");
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '\n' -> word.append("\\n");
                case '\'', '\\' -> word.append('\\').append(c);
                case 0 -> { }
                default -> word.append(c);
            }
        }
        return word.append('\'').toString();
    }

    private void begin(int count) {
        beginnings++;
        if (beginnings == STREAMS) {
            events.add(new KernelEvent.Begin(id, count));
            events.addAll(early);
            early.clear();
        }
    }

    private void end(int status) {
        ends++;
        if (ends == STREAMS) {
            if (status != 0) {
                events.add(new KernelEvent.Failure("", Integer.toString(status), ""));
            }
            events.add(new KernelEvent.End(id));
        }
    }

    private boolean isMark(String line) {
        return line.equals(READY) || line.matches("cube:" + id + ":(begin|end):[0-9]{1,9}");
    }

    /** One of the streams. */
    private final class MarkedStream {
        private final boolean error;
        private boolean begun;
        private final Utf8Decoder decoder = new Utf8Decoder();
        private final ByteArrayOutputStream text = new ByteArrayOutputStream();
        /** What may become a mark; empty while there is none. */
        private final ByteArrayOutputStream mark = new ByteArrayOutputStream();

        MarkedStream(boolean error) {
            this.error = error;
        }

        void add(byte[] data) {
            for (byte next : data) {
                if (mark.size() == 0) {
                    (next == MARK ? mark : text).write(next);
                } else if (next == '\n') {
                    endMark();
                } else if (next == MARK || mark.size() > MAX_MARK) {
                    text.writeBytes(mark.toByteArray());
                    mark.reset();
                    (next == MARK ? mark : text).write(next);
                } else {
                    mark.write(next);
                }
            }
            flush();
        }

        private void endMark() {
            String line = mark.toString(StandardCharsets.UTF_8).substring(1);
            if (isMark(line)) {
                flush();
                act(line);
            } else {
                text.writeBytes(mark.toByteArray());
                text.write('\n');
            }
            mark.reset();
        }

        private void act(String line) {
            String[] parts = line.split(":");
            int number = Integer.parseInt(parts[3]);
            switch (parts[2]) {
                case "ready" -> events.add(new KernelEvent.Ready());
                case "begin" -> {
                    begun = true;
                    begin(number);
                }
                default -> end(number);
            }
        }

        private void flush() {
            String decoded = decoder.decode(text.toByteArray());
            text.reset();
            if (!decoded.isEmpty()) {
                if (early.size() >= MAX_EARLY) {
                    throw new KernelException("the kernel began on one of its streams only");
                }
                (begun && beginnings < STREAMS ? early : events).add(new KernelEvent.Text(error, decoded));
            }
        }
    }
}
