package dev.cube.envd.interpreter;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.cube.guest.ProcessEvent;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Map;
import java.util.Queue;

/** A JSON object a line in both directions, as {@code kernel.py} describes it. */
final class JsonProtocol implements KernelProtocol {
    private static final JsonMapper JSON = new JsonMapper();

    private final boolean apart;
    private final LineBuffer lines = new LineBuffer(KernelEvent.MAX_LINE);
    private final Utf8Decoder errors = new Utf8Decoder();
    private final Queue<KernelEvent> texts = new ArrayDeque<>();

    /**
     * @param apart whether the protocol has descriptors of its own, and what the kernel's children print comes on standard error;
     *              signals reach such a kernel some time after they were sent
     */
    JsonProtocol(boolean apart) {
        this.apart = apart;
    }

    @Override
    public byte[] execute(String id, String code, Map<String, String> environment) {
        return request(Map.of("op", "execute", "id", id, "code", code, "env", environment));
    }

    /** Python takes a signal before it reads on. */
    @Override
    public byte[] settle() {
        return apart ? request(Map.of("op", "settle")) : new byte[0];
    }

    /** A request: an object of the protocol's fields. */
    byte[] request(Map<String, Object> fields) {
        try {
            return (JSON.writeValueAsString(fields) + "\n").getBytes(StandardCharsets.UTF_8);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void add(ProcessEvent.Stream stream, byte[] data) {
        if (stream == ProcessEvent.Stream.STDOUT) {
            lines.add(data);
        } else if (apart) {
            String text = errors.decode(data);
            if (!text.isEmpty()) {
                texts.add(new KernelEvent.Text(true, text));
            }
        }
    }

    @Override
    public boolean hasNext() {
        return !texts.isEmpty() || !lines.isEmpty();
    }

    @Override
    public KernelEvent poll() {
        if (!texts.isEmpty()) {
            return texts.poll();
        }
        for (byte[] line = lines.poll(); line != null; line = lines.poll()) {
            if (line.length > 0) {
                return KernelEvent.parse(line);
            }
        }
        return null;
    }
}
