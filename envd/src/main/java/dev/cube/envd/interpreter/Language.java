package dev.cube.envd.interpreter;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/** A language that cells can be written in, and the kernel that runs them. */
enum Language {
    PYTHON("python3", List.of("kernel.py", "charts.py", "connect.py"), "python"),
    JAVASCRIPT("sh", List.of("kernel.js"), "javascript", "js"),
    TYPESCRIPT("sh", List.of("kernel.js"), "typescript", "ts"),
    BASH("bash", List.of("kernel.bash"), "bash"),
    R("sh", List.of("kernel.R"), "r"),
    JAVA("sh", List.of("kernel.java"), "java");

    private final String program;
    private final List<String> files;
    private final List<String> names;

    Language(String program, List<String> files, String... names) {
        this.program = program;
        this.files = files;
        this.names = List.of(names);
    }

    /** By any of its names, in any case; empty where there is no kernel for it. */
    static Optional<Language> named(String name) {
        String wanted = name.strip().toLowerCase(Locale.ROOT);
        return Arrays.stream(values()).filter(language -> language.names.contains(wanted)).findFirst();
    }

    static String all() {
        return Arrays.stream(values()).map(Language::id).collect(Collectors.joining(", "));
    }

    /** As the API names it. */
    String id() {
        return names.getFirst();
    }

    /** What runs the kernel, looked up in the PATH of the sandbox. */
    String program() {
        return program;
    }

    /**
     * Whether an interrupt ends a cell at last; in Node it does not end a loop that follows an await, nor in Java one that waits for
     * nothing.
     */
    boolean endsOnInterrupt() {
        return this == PYTHON || this == BASH || this == R;
    }

    /** The kernel's files, the one to run first. */
    List<String> files() {
        return files;
    }
}
