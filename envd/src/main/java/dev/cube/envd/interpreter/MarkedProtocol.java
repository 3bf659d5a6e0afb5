package dev.cube.envd.interpreter;

import dev.cube.guest.ProcessEvent;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Map;
import java.util.Queue;

/**
 * For kernels that cannot keep apart what cells print: it comes on standard output and standard error, with marks where a cell begins
 * and ends. A mark is {@code RS cube:ID:WORD:NUMBER LF}, where the ID is the execution's and cannot be guessed, so that nothing printed
 * by accident is taken for one. Both streams carry them, because what comes on one is in no order with what comes on the other. On
 * standard output there may also be {@code RS cube:ID:event:JSON LF}, results and errors as {@link KernelEvent} has them.
 */
abstract sealed class MarkedProtocol implements KernelProtocol permits BashProtocol, RProtocol {
    private static final byte MARK = 0x1e;
    private static final String READY = "cube:kernel:ready:0";
    private static final int STREAMS = 2;
    /** Pieces of text that may come on one stream before the other's mark, which was written first. */
    private static final int MAX_EARLY = 1024;
    /** Longer than any mark. */
    private static final int MAX_MARK = 80;
    private static final String EVENT = ":event:";

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
        return request(execution, code, environment).getBytes(StandardCharsets.UTF_8);
    }

    /** What the kernel is told, to run a cell. */
    abstract String request(String execution, String code, Map<String, String> environment);

    /** These kernels take a signal before they read on. */
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
        /** Whether it is one of an event, however long. */
        private boolean event;

        MarkedStream(boolean error) {
            this.error = error;
        }

        void add(byte[] data) {
            for (byte next : data) {
                if (mark.size() == 0) {
                    (next == MARK ? mark : text).write(next);
                } else if (next == '\n') {
                    endMark();
                } else if (next == MARK || mark.size() > (event ? KernelEvent.MAX_LINE : MAX_MARK)) {
                    text.writeBytes(mark.toByteArray());
                    mark.reset();
                    event = false;
                    (next == MARK ? mark : text).write(next);
                } else {
                    mark.write(next);
                    if (next == ':' && !event && !error) {
                        event = mark.toString(StandardCharsets.UTF_8).equals((char) MARK + "cube:" + id + EVENT);
                    }
                }
            }
            flush();
        }

        private void endMark() {
            if (event) {
                flush();
                int beginning = ("xcube:" + id + EVENT).length();
                KernelEvent told = KernelEvent.parse(Arrays.copyOfRange(mark.toByteArray(), beginning, mark.size()));
                if (!(told instanceof KernelEvent.Result || told instanceof KernelEvent.Failure || told instanceof KernelEvent.Text)) {
                    throw new KernelException("the kernel sent an event out of turn");
                }
                tell(told);
                event = false;
                mark.reset();
                return;
            }
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
                tell(new KernelEvent.Text(error, decoded));
            }
        }

        private void tell(KernelEvent told) {
            if (early.size() >= MAX_EARLY) {
                throw new KernelException("the kernel began on one of its streams only");
            }
            (begun && beginnings < STREAMS ? early : events).add(told);
        }
    }
}
