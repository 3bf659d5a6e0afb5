package dev.cube.envd.interpreter;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonFactoryBuilder;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;

/** One line that a kernel wrote. */
sealed interface KernelEvent {
    /** The kernel takes requests. */
    record Ready() implements KernelEvent {}

    /** The kernel cannot run at all. */
    record Fatal(String message) implements KernelEvent {}

    /** The execution with this ID starts, the {@code count}-th of the context. */
    record Begin(String id, int count) implements KernelEvent {}

    record Text(boolean error, String text) implements KernelEvent {}

    /**
     * Something to show.
     *
     * @param main whether it is the value of the cell's last expression
     * @param data from MIME type to content; binary content in base64
     */
    record Result(boolean main, ObjectNode data) implements KernelEvent {}

    record Failure(String name, String value, String traceback) implements KernelEvent {}

    record End(String id) implements KernelEvent {}

    /** Longest line, in bytes, that a kernel may send; kernels leave out what would not fit. */
    int MAX_LINE = 33 << 20;

    /**
     * Reads a line. One that is well-formed but deeper nested than the host takes becomes a text that says so.
     *
     * @throws KernelException if it is not an event
     */
    static KernelEvent parse(byte[] line) {
        try {
            if (!(Reading.OBJECTS.readTree(line) instanceof ObjectNode event)) {
                throw new KernelException("the kernel sent something else than an event");
            }
            return read(event);
        } catch (StreamConstraintsException e) {
            return new Text(true, "[left out: " + e.getOriginalMessage().lines().findFirst().orElse("too large") + "]\n");
        } catch (IOException e) {
            throw new KernelException("the kernel sent malformed JSON");
        }
    }

    private static KernelEvent read(ObjectNode event) {
        return switch (text(event, "type")) {
            case "ready" -> new Ready();
            case "fatal" -> new Fatal(text(event, "message"));
            case "begin" -> new Begin(text(event, "id"), event.path("count").asInt());
            case "stdout" -> new Text(false, text(event, "text"));
            case "stderr" -> new Text(true, text(event, "text"));
            case "result" -> {
                if (!(event.get("data") instanceof ObjectNode data)) {
                    throw new KernelException("the kernel sent a result without data");
                }
                yield new Result(event.path("main").asBoolean(), data);
            }
            case "error" -> new Failure(text(event, "name"), text(event, "value"), text(event, "traceback"));
            case "end" -> new End(text(event, "id"));
            default -> throw new KernelException("the kernel sent an unknown event");
        };
    }

    private static String text(ObjectNode event, String field) {
        JsonNode value = event.get(field);
        if (value == null || !value.isTextual()) {
            throw new KernelException("the kernel sent an event without '" + field + "'");
        }
        return value.textValue();
    }

    /** Keeps the reader out of the interface. */
    final class Reading {
        /** Deepest nesting in a result; Jackson writes trees recursively. */
        private static final int MAX_DEPTH = 500;
        /** Python refuses to write integers longer than 4300 digits. */
        private static final int MAX_NUMBER = 5000;

        private static final JsonFactory FACTORY = new JsonFactoryBuilder()
                .streamReadConstraints(StreamReadConstraints.builder().maxStringLength(MAX_LINE)
                        .maxNestingDepth(MAX_DEPTH).maxNumberLength(MAX_NUMBER).build())
                .build();
        private static final ObjectReader OBJECTS = JsonMapper.builder(FACTORY).build().reader()
                .with(DeserializationFeature.USE_BIG_INTEGER_FOR_INTS)
                .with(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

        private Reading() {}
    }
}
