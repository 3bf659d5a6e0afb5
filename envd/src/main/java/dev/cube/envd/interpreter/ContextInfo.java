package dev.cube.envd.interpreter;

/** A context as the API shows it. */
record ContextInfo(String id, String language, String cwd) {}
