package dev.cube.cli.bench;

import dev.cube.sdk.CloneOptions;
import dev.cube.sdk.Sandbox;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(name = "clone", mixinStandardHelpOptions = true, sortOptions = false,
        header = "Measures making N clones of one sandbox, C at a time, by one request.",
        description = "The sandbox has written 10 MB to memory.")
final class CloneBench extends Benchmark {
    private static final int WRITTEN_MEBIBYTES = 10;

    @Mixin
    private final ConcurrencyOption concurrency = new ConcurrencyOption(1);

    @Mixin
    private final NumberOption number = new NumberOption(1);

    @Option(names = "--rounds", paramLabel = "ROUNDS", defaultValue = "5", converter = Count.FromOne.class,
            description = "rounds, after one that does not count (default: ${DEFAULT-VALUE})")
    private int rounds;

    @Override
    Measured measure(Target target) throws InterruptedException {
        var walls = new Walls.Collector();
        try (SandboxGroup group = target.idleSandboxes(1); Progress progress = target.progress("clone", rounds)) {
            Sandbox source = group.sandboxes().getFirst();
            GuestMemory.write(source, WRITTEN_MEBIBYTES);
            round(target, source, new Walls.Collector());
            for (int i = 0; i < rounds; i++) {
                round(target, source, walls);
                progress.step();
            }
        }
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("number", number.value());
        parameters.put("concurrency", concurrency.value());
        parameters.put("rounds", rounds);
        return walls.measured("clone", concurrency.value(), number.value(), parameters);
    }

    private void round(Target target, Sandbox source, Walls.Collector walls) throws InterruptedException {
        target.settle(number.value());
        CloneOptions options = CloneOptions.of(number.value()).withConcurrency(concurrency.value());
        Load.Outcome<List<Sandbox>> clones = walls.add("clone",
                Load.run(1, 1, Progress.NONE, () -> source.clone(options)));
        new SandboxGroup(clones.results().stream().flatMap(List::stream).toList()).close();
    }
}
