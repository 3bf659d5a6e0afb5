package dev.cube.hypervisor;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.AppenderBase;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.ToIntFunction;
import org.slf4j.LoggerFactory;

/**
 * Measures live forks by memory size and number of vCPUs. Arguments: forks of each shape,
 * MiB that the parent has written, shapes as vCPUs:MiB.
 */
final class ForkBenchmark {
    private static final int WARM_UP = 10;

    private ForkBenchmark() {}

    /** Collects what the parent says of each fork. */
    private static final class Outcomes extends AppenderBase<ILoggingEvent> {
        private final List<ForkRequest.Outcome> seen = new CopyOnWriteArrayList<>();

        @Override
        protected void append(ILoggingEvent event) {
            if (event.getArgumentArray() != null) {
                for (Object argument : event.getArgumentArray()) {
                    if (argument instanceof ForkRequest.Outcome outcome) {
                        seen.add(outcome);
                    }
                }
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        int forks = Integer.parseInt(arguments[0]);
        int written = Integer.parseInt(arguments[1]);
        Outcomes outcomes = new Outcomes();
        Logger logger = (Logger) LoggerFactory.getLogger(Forks.class);
        logger.setLevel(Level.TRACE);
        logger.setAdditive(false);
        logger.addAppender(outcomes);
        outcomes.start();
        System.out.printf("| vCPUs | MiB | threads parked | park | plan | fork | start | p90 | to first answer | p90 |%n"
                + "|---|---|---|---|---|---|---|---|---|---|%n");
        for (String shape : Arrays.asList(arguments).subList(2, arguments.length)) {
            String[] numbers = shape.split(":");
            try (TestNode node = TestNode.create()) {
                measure(node, new VmShape(Integer.parseInt(numbers[0]), Integer.parseInt(numbers[1])), written, forks,
                        outcomes);
            }
        }
    }

    private static void measure(TestNode node, VmShape shape, int written, int forks, Outcomes outcomes)
            throws Exception {
        VmImage image = node.template(shape);
        QemuHypervisor hypervisor = node.hypervisor();
        hypervisor.keepWarm(image, vm -> fill(vm, written), vm -> { });
        while (!hypervisor.isWarm(image)) {
            Thread.sleep(20);
        }
        List<Double> starts = new ArrayList<>();
        List<Double> answers = new ArrayList<>();
        for (int i = -WARM_UP; i < forks; i++) {
            if (i == 0) {
                starts.clear();
                answers.clear();
                outcomes.seen.clear();
            }
            // For the directories that are prepared ahead.
            Thread.sleep(Duration.ofMillis(30));
            long begin = System.nanoTime();
            Vm vm = hypervisor.start(image);
            starts.add((System.nanoTime() - begin) / 1e6);
            Guest.ask(vm, "ping");
            answers.add((System.nanoTime() - begin) / 1e6);
            vm.kill();
        }
        if (hypervisor.forked() != forks + WARM_UP) {
            throw new IllegalStateException("only %d of the VMs were forked".formatted(hypervisor.forked()));
        }
        System.out.printf(Locale.ROOT, "| %d | %d | %d | %.2f | %.2f | %.2f | %.1f | %.1f | %.1f | %.1f |%n", shape.vcpus(),
                shape.memoryMib(), outcomes.seen.getFirst().threads(), median(outcomes, ForkRequest.Outcome::parkMicros),
                median(outcomes, ForkRequest.Outcome::planMicros), median(outcomes, ForkRequest.Outcome::forkMicros),
                quantile(starts, 0.5), quantile(starts, 0.9), quantile(answers, 0.5), quantile(answers, 0.9));
    }

    private static void fill(Vm vm, int mebibytes) {
        try {
            Guest.ask(vm, "fill " + mebibytes + " 1");
        } catch (IOException e) {
            throw new HypervisorException("fill", e);
        }
    }

    private static double median(Outcomes outcomes, ToIntFunction<ForkRequest.Outcome> micros) {
        return quantile(outcomes.seen.stream().map(outcome -> micros.applyAsInt(outcome) / 1e3).toList(), 0.5);
    }

    private static double quantile(List<Double> values, double part) {
        return values.stream().sorted().toList().get((int) (values.size() * part));
    }
}
