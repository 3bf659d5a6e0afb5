// A Java context of the code interpreter: one process with the JDK's own shell inside, run from this source. The protocol is that
// of kernel.py, on descriptors 3 (requests) and 4 (events), with the requests "execute", and "settle" after interrupts were sent,
// which is not answered. Arguments: the epoch's file. Java 17 and later.

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import jdk.jshell.Diag;
import jdk.jshell.EvalException;
import jdk.jshell.JShell;
import jdk.jshell.JShellException;
import jdk.jshell.Snippet;
import jdk.jshell.SnippetEvent;
import jdk.jshell.SourceCodeAnalysis;
import jdk.jshell.UnresolvedReferenceException;
import jdk.jshell.execution.LocalExecutionControlProvider;
import sun.misc.Signal;

final class Kernel {
    private static final int CHUNK_BYTES = 16 * 1024;
    /** Four bytes each at most: the host takes no line of more than 32 MiB. */
    private static final int RESULT_CHARS = 8 << 20;
    /** What is printed waits so long for more. */
    private static final int FLUSH_MILLISECONDS = 20;
    /** A thread that has been woken runs within this time. */
    private static final int QUIET_MILLISECONDS = 20;
    private static final List<String> IMPORTS = List.of("java.io.*", "java.math.*", "java.net.*", "java.nio.file.*", "java.util.*",
            "java.util.concurrent.*", "java.util.function.*", "java.util.regex.*", "java.util.stream.*");

    private final OutputStream events = new FileOutputStream(descriptor(4));
    private final Path run;
    private final Map<String, String> environment = environment();
    private final JShell shell;
    private final Printed output = new Printed("stdout");
    private final Printed errors = new Printed("stderr");
    private volatile boolean running;
    private int count;
    private String boot = "";
    private Set<String> inherited = Set.of();

    private Kernel(Path epoch) throws Exception {
        run = epoch.getParent();
        System.setOut(new PrintStream(output, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(errors, true, StandardCharsets.UTF_8));
        // In this process, so that its directory and environment are the cells' too.
        shell = JShell.builder().executionEngine(new LocalExecutionControlProvider(), Map.of()).build();
        IMPORTS.forEach(name -> shell.eval("import " + name + ";"));
        Signal.handle(new Signal("INT"), signal -> interrupt());
        Thread flusher = new Thread(this::flushNowAndThen, "flusher");
        flusher.setDaemon(true);
        flusher.start();
    }

    public static void main(String[] arguments) throws Exception {
        Kernel kernel = new Kernel(Path.of(arguments[0]));
        kernel.renew();
        try (BufferedReader requests = new BufferedReader(new InputStreamReader(
                new FileInputStream(descriptor(3)), StandardCharsets.UTF_8))) {
            kernel.send(Map.of("type", "ready"));
            for (String line = requests.readLine(); line != null; line = requests.readLine()) {
                if (!line.isEmpty()) {
                    kernel.serve(new Json(line).object());
                }
            }
        }
        System.exit(0);
    }

    private static FileDescriptor descriptor(int number) throws ReflectiveOperationException {
        Constructor<FileDescriptor> constructor = FileDescriptor.class.getDeclaredConstructor(int.class);
        constructor.setAccessible(true);
        return constructor.newInstance(number);
    }

    private void serve(Map<String, Object> request) throws Exception {
        if (request.get("op").equals("settle")) {
            Thread.sleep(QUIET_MILLISECONDS);
            return;
        }
        renew();
        @SuppressWarnings("unchecked")
        Map<String, String> variables = (Map<String, String>) request.get("env");
        String id = (String) request.get("id");
        count++;
        write("\n{\"type\":\"begin\",\"id\":" + Json.quoted(id) + ",\"count\":" + count + "}\n");
        Map<String, String> former = new HashMap<>();
        variables.keySet().forEach(name -> former.put(name, environment.get(name)));
        environment.putAll(variables);
        running = true;
        try {
            evaluate((String) request.get("code"));
        } finally {
            running = false;
            former.forEach((name, value) -> {
                if (value == null) {
                    environment.remove(name);
                } else {
                    environment.put(name, value);
                }
            });
            flush();
            send(Map.of("type", "end", "id", id));
        }
    }

    // ---- cells ----

    /** Up to the first snippet that fails. */
    private void evaluate(String code) {
        SourceCodeAnalysis analysis = shell.sourceCodeAnalysis();
        for (String rest = code; !rest.isBlank();) {
            SourceCodeAnalysis.CompletionInfo info = analysis.analyzeCompletion(rest);
            boolean complete = info.completeness().isComplete();
            String source = complete ? info.source() : rest;
            rest = complete ? info.remaining() : "";
            for (SnippetEvent event : shell.eval(source)) {
                if (event.causeSnippet() == null && !succeeded(event, source, rest.isBlank())) {
                    return;
                }
            }
        }
    }

    private boolean succeeded(SnippetEvent event, String source, boolean last) {
        if (event.exception() != null) {
            sendError(event.exception());
            return false;
        }
        if (event.status() == Snippet.Status.REJECTED) {
            sendError("CompilationException", shell.diagnostics(event.snippet()).toList(), source);
            return false;
        }
        boolean expression = event.snippet().kind() == Snippet.Kind.EXPRESSION
                || event.snippet().subKind() == Snippet.SubKind.TEMP_VAR_EXPRESSION_SUBKIND;
        if (expression && event.value() != null && !event.value().isEmpty()) {
            flush();
            if (event.value().length() <= RESULT_CHARS) {
                send(Map.of("type", "result", "main", last, "data", Map.of("text/plain", event.value())));
            } else {
                System.err.println("[the result is left out: it has more than " + (RESULT_CHARS >> 20) + " MiB]");
            }
        }
        return true;
    }

    private void sendError(String name, List<Diag> diagnostics, String source) {
        StringBuilder text = new StringBuilder();
        for (Diag diagnostic : diagnostics) {
            int at = (int) Math.max(0, Math.min(diagnostic.getPosition(), source.length()));
            int begin = source.lastIndexOf('\n', Math.max(0, at - 1)) + 1;
            int end = source.indexOf('\n', at);
            String line = source.substring(Math.min(begin, at), end < 0 ? source.length() : end);
            text.append(diagnostic.getMessage(Locale.ROOT)).append('\n').append(line).append('\n')
                    .append(" ".repeat(Math.max(0, at - begin))).append("^\n");
        }
        String first = diagnostics.isEmpty() ? "the code is incomplete" : diagnostics.get(0).getMessage(Locale.ROOT);
        sendError(name, first, text.isEmpty() ? first : text.toString());
    }

    private void sendError(JShellException failure) {
        if (failure instanceof UnresolvedReferenceException unresolved) {
            List<String> missing = shell.unresolvedDependencies(unresolved.getSnippet()).toList();
            sendError("UnresolvedReferenceException", "not declared yet: " + String.join(", ", missing), failure.toString());
            return;
        }
        StringBuilder trace = new StringBuilder();
        Throwable cause = failure;
        for (String before = ""; cause != null; cause = cause.getCause(), before = "Caused by: ") {
            trace.append(before).append(nameOf(cause));
            if (cause.getMessage() != null) {
                trace.append(": ").append(cause.getMessage());
            }
            for (StackTraceElement frame : cause.getStackTrace()) {
                trace.append("\n    at ").append(frame.getClassName().startsWith("REPL.")
                        ? "cell:" + frame.getLineNumber() + " " + frame.getMethodName() : frame);
            }
            trace.append('\n');
        }
        sendError(nameOf(failure), failure.getMessage() == null ? "" : failure.getMessage(), trace.toString().stripTrailing());
    }

    private static String nameOf(Throwable failure) {
        return failure instanceof EvalException thrown ? thrown.getExceptionClassName() : failure.getClass().getName();
    }

    private void sendError(String name, String value, String traceback) {
        flush();
        send(Map.of("type", "error", "name", name, "value", value, "traceback", traceback));
    }

    /** A loop that waits for nothing may go on: the host ends the process then. */
    private void interrupt() {
        if (!running) {
            return;
        }
        Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getThreadGroup() != null && thread.getThreadGroup().getName().startsWith("JShell"))
                .forEach(Thread::interrupt);
        try {
            shell.stop();
        } catch (RuntimeException | LinkageError e) {
            // Not in this version of Java.
        }
    }

    // ---- epoch ----

    /** Takes over the sandbox's environment when that was restored. */
    private void renew() {
        String now;
        String entries;
        try {
            now = Files.readString(run.resolve("boot_id"));
            if (now.equals(boot)) {
                return;
            }
            boot = now;
            entries = Files.readString(run.resolve("environment"));
        } catch (IOException e) {
            return; // not in a sandbox
        }
        Set<String> names = new HashSet<>();
        for (String entry : entries.split("\0")) {
            int equals = entry.indexOf('=');
            if (equals > 0) {
                names.add(entry.substring(0, equals));
                environment.put(entry.substring(0, equals), entry.substring(equals + 1));
            }
        }
        inherited.stream().filter(name -> !names.contains(name)).forEach(environment::remove);
        inherited = names;
    }

    /** The map that {@code System.getenv} shows read-only, and that children get. */
    @SuppressWarnings("unchecked")
    private static Map<String, String> environment() {
        try {
            Map<String, String> shown = System.getenv();
            Field field = shown.getClass().getDeclaredField("m");
            field.setAccessible(true);
            return (Map<String, String>) field.get(shown);
        } catch (ReflectiveOperationException | RuntimeException e) {
            return new HashMap<>(System.getenv());
        }
    }

    // ---- events ----

    /** One of the streams that cells print to. */
    private final class Printed extends OutputStream {
        private final String type;
        private final ByteArrayOutputStream text = new ByteArrayOutputStream();

        Printed(String type) {
            this.type = type;
        }

        @Override
        public void write(int value) {
            write(new byte[] {(byte) value}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) {
            synchronized (events) {
                Printed other = this == output ? errors : output;
                other.send(other.text.size());
                text.write(bytes, offset, length);
                if (text.size() >= CHUNK_BYTES) {
                    send(whole());
                }
            }
        }

        /** As much as ends with a whole character. */
        private int whole() {
            byte[] bytes = text.toByteArray();
            int end = bytes.length;
            for (int back = 1; back <= Math.min(3, bytes.length); back++) {
                int value = bytes[bytes.length - back] & 0xff;
                if (value >= 0xc0) {
                    boolean cut = back < (value >= 0xf0 ? 4 : value >= 0xe0 ? 3 : 2);
                    return cut ? end - back : end;
                }
                if (value < 0x80) {
                    return end;
                }
            }
            return end;
        }

        private void send(int length) {
            if (length == 0) {
                return;
            }
            byte[] bytes = text.toByteArray();
            text.reset();
            text.write(bytes, length, bytes.length - length);
            if (running) {
                Kernel.this.send(Map.of("type", type, "text", new String(bytes, 0, length, StandardCharsets.UTF_8)));
            }
        }
    }

    private void flush() {
        synchronized (events) {
            boolean before = running;
            running = true;
            output.send(output.text.size());
            errors.send(errors.text.size());
            running = before;
        }
    }

    private void flushNowAndThen() {
        while (true) {
            try {
                Thread.sleep(FLUSH_MILLISECONDS);
            } catch (InterruptedException e) {
                return;
            }
            synchronized (events) {
                if (running) {
                    output.send(output.whole());
                    errors.send(errors.whole());
                }
            }
        }
    }

    private void send(Map<String, Object> event) {
        write(Json.object(event) + "\n");
    }

    private void write(String text) {
        synchronized (events) {
            try {
                events.write(text.getBytes(StandardCharsets.UTF_8));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    // ---- JSON, as far as the protocol has it ----

    private static final class Json {
        private final String text;
        private int at;

        Json(String text) {
            this.text = text;
        }

        /** Values are texts, or objects of texts. */
        Map<String, Object> object() {
            Map<String, Object> result = new HashMap<>();
            expect('{');
            while (next() != '}') {
                String name = string();
                expect(':');
                result.put(name, next() == '{' ? object() : string());
                if (next() == ',') {
                    at++;
                }
            }
            at++;
            return result;
        }

        private char next() {
            while (Character.isWhitespace(text.charAt(at))) {
                at++;
            }
            return text.charAt(at);
        }

        private void expect(char wanted) {
            if (next() != wanted) {
                throw new IllegalArgumentException("'" + wanted + "' is missing at " + at);
            }
            at++;
        }

        private String string() {
            expect('"');
            StringBuilder result = new StringBuilder();
            for (char c = text.charAt(at++); c != '"'; c = text.charAt(at++)) {
                if (c != '\\') {
                    result.append(c);
                    continue;
                }
                c = text.charAt(at++);
                switch (c) {
                    case 'n' -> result.append('\n');
                    case 't' -> result.append('\t');
                    case 'r' -> result.append('\r');
                    case 'b' -> result.append('\b');
                    case 'f' -> result.append('\f');
                    case 'u' -> {
                        result.append((char) Integer.parseInt(text.substring(at, at + 4), 16));
                        at += 4;
                    }
                    default -> result.append(c);
                }
            }
            return result.toString();
        }

        static String object(Map<String, ?> fields) {
            List<String> parts = new ArrayList<>();
            fields.forEach((name, value) -> parts.add(quoted(name) + ":" + value(value)));
            return "{" + String.join(",", parts) + "}";
        }

        @SuppressWarnings("unchecked")
        private static String value(Object value) {
            return value instanceof Map<?, ?> map ? object((Map<String, ?>) map)
                    : value instanceof Boolean ? value.toString() : quoted((String) value);
        }

        static String quoted(String text) {
            StringBuilder result = new StringBuilder("\"");
            for (int i = 0; i < text.length(); i++) {
                char c = text.charAt(i);
                if (c == '"' || c == '\\') {
                    result.append('\\').append(c);
                } else if (c < ' ' || Character.isSurrogate(c)) {
                    result.append(String.format("\\u%04x", (int) c));
                } else {
                    result.append(c);
                }
            }
            return result.append('"').toString();
        }
    }
}
