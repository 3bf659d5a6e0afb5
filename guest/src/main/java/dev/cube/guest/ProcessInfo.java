package dev.cube.guest;

import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A process that the agent started and that still runs. Fields as in {@link ProcessSpec}. */
public record ProcessInfo(int pid, String command, List<String> args, Map<String, String> environment,
        Optional<String> cwd, Optional<String> tag, boolean pty, boolean stdin) {}
