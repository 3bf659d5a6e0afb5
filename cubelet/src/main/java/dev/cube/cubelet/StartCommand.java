package dev.cube.cubelet;

import dev.cube.guest.ProcessSpec;
import dev.cube.image.ImageConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What an image wants started: its {@code Entrypoint} followed by its {@code Cmd}. It is started in the template,
 * before the snapshot, and so runs in every sandbox of it. A shell that is not told what to run is not started: it would
 * wait for a terminal that is not there.
 */
final class StartCommand {
    /** By which its process can be found in a sandbox. */
    static final String TAG = "image-command";

    private static final Set<String> SHELLS = Set.of("sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "csh", "tcsh");

    private StartCommand() {}

    /** The command to start, as {@code user}, if there is one. */
    static Optional<ProcessSpec> of(ImageConfig config, String user) {
        List<String> words = new ArrayList<>(config.entrypoint());
        words.addAll(config.command());
        if (words.isEmpty() || isIdleShell(words)) {
            return Optional.empty();
        }
        Optional<String> cwd = Optional.of(config.workingDir()).filter(dir -> !dir.isEmpty());
        return Optional.of(new ProcessSpec(words.getFirst(), List.copyOf(words.subList(1, words.size())), Map.of(),
                cwd.or(() -> Optional.of("/")), user, Optional.of(TAG), Optional.empty(), false));
    }

    private static boolean isIdleShell(List<String> words) {
        String program = words.getFirst().substring(words.getFirst().lastIndexOf('/') + 1);
        return SHELLS.contains(program) && words.stream().skip(1).allMatch(word ->
                word.equals("--login") || word.matches("-[il]+"));
    }
}
