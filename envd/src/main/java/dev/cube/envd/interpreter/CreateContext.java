package dev.cube.envd.interpreter;

import java.util.Optional;

/** The body of {@code POST /contexts}. */
record CreateContext(Optional<String> language, Optional<String> cwd) {
    CreateContext {
        language = language == null ? Optional.empty() : language.filter(name -> !name.isBlank());
        cwd = cwd == null ? Optional.empty() : cwd.filter(path -> !path.isEmpty());
    }
}
