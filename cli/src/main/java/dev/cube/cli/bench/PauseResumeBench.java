package dev.cube.cli.bench;

import java.time.Duration;
import picocli.CommandLine.Command;

/** Each round pauses sandboxes that were never paused before, since a second pause writes less. */
@Command(name = "pause-resume", mixinStandardHelpOptions = true, sortOptions = false,
        header = "Measures pausing C idle sandboxes at once, and then resuming them.",
        description = "pause: until the memory is on disk and free.")
final class PauseResumeBench extends RoundBenchmark {
    private static final Duration TIMEOUT = Duration.ofMinutes(5);

    PauseResumeBench() {
        super("pause-resume");
    }

    @Override
    Rounds prepare(Target target) {
        return walls -> {
            try (SandboxGroup idle = target.idleSandboxes(concurrency())) {
                walls.add("pause", Load.each(concurrency(), idle.sandboxes(), Progress.NONE, sandbox -> {
                    sandbox.pause();
                    return sandbox;
                }));
                target.settle(concurrency());
                walls.add("resume", Load.each(concurrency(), idle.sandboxes(), Progress.NONE, sandbox -> {
                    sandbox.resume(TIMEOUT);
                    return sandbox;
                }));
            }
        };
    }
}
