// The job on Apache Flink, as a DataStream program: KAFKA TOPIC RESULTS DIRECTORY BACKEND (hashmap or rocksdb).
// Runs until it is ended. README.md says what is counted and why the settings are these.

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

public class FlinkJob {
    static final long WINDOW_MS = 30 * 60_000;
    static final long TELL_EVERY_MS = 1_000;
    static final int REMEMBERED = 4;
    static final String[] STAGES = {"click", "lead", "payment"};

    @JsonIgnoreProperties(ignoreUnknown = true)
    public static class Event {
        public String id;
        public String name;
        public long occurred_at_ms;
        public String anonymous_id;
        public Properties properties;
    }

    @JsonIgnoreProperties(ignoreUnknown = true)
    public static class Properties {
        public String channel;
    }

    /** What is known of a person: the journey under way, and the ids of the last events. */
    public static class Person {
        public long began = Long.MIN_VALUE;
        public int stage = -1;
        public String channel = "";
        public String[] ids = {};
    }

    public static class Change {
        public String cell;
        public int events;
        public int entries;
        public int advanced;

        public Change() {}

        Change(int stage, String channel, int events, int entries, int advanced) {
            this.cell = STAGES[stage] + "|" + channel;
            this.events = events;
            this.entries = entries;
            this.advanced = advanced;
        }
    }

    public static class Counts {
        public String cell;
        public long events;
        public long entries;
        public long advanced;
        public boolean isTimerSet;
    }

    static class EventSchema extends AbstractDeserializationSchema<Event> {
        private transient ObjectReader reader;

        @Override
        public void open(InitializationContext context) {
            reader = JsonMapper.builder().build().readerFor(Event.class);
        }

        @Override
        public Event deserialize(byte[] message) throws IOException {
            return reader.readValue(message);
        }
    }

    /** By person: drops copies, follows the journey. */
    static class Journeys extends KeyedProcessFunction<String, Event, Change> {
        private transient ValueState<Person> state;

        @Override
        public void open(OpenContext context) {
            state = getRuntimeContext().getState(new ValueStateDescriptor<>("person", Person.class));
        }

        @Override
        public void processElement(Event event, Context context, Collector<Change> out) throws Exception {
            Person person = state.value();
            if (person == null) person = new Person();
            if (Arrays.asList(person.ids).contains(event.id)) return;
            int kept = Math.min(person.ids.length, REMEMBERED - 1);
            String[] ids = Arrays.copyOfRange(person.ids, person.ids.length - kept, person.ids.length + 1);
            ids[kept] = event.id;
            person.ids = ids;
            int stage = Arrays.asList(STAGES).indexOf(event.name);
            out.collect(new Change(stage, event.properties.channel, 1, 0, 0));
            if (person.stage < 0 || event.occurred_at_ms > person.began + WINDOW_MS) {
                person.began = event.occurred_at_ms;
                person.channel = event.properties.channel;
                person.stage = stage;
                out.collect(new Change(stage, person.channel, 0, 1, 0));
            } else if (stage > person.stage) {
                out.collect(new Change(person.stage, person.channel, 0, 0, 1));
                out.collect(new Change(stage, person.channel, 0, 1, 0));
                person.stage = stage;
            }
            state.update(person);
        }
    }

    /** By cell: adds up, and tells a changed cell once a second. */
    static class Cells extends KeyedProcessFunction<String, Change, Counts> {
        private transient ValueState<Counts> state;

        @Override
        public void open(OpenContext context) {
            state = getRuntimeContext().getState(new ValueStateDescriptor<>("counts", Counts.class));
        }

        @Override
        public void processElement(Change change, Context context, Collector<Counts> out) throws Exception {
            Counts counts = state.value();
            if (counts == null) {
                counts = new Counts();
                counts.cell = change.cell;
            }
            counts.events += change.events;
            counts.entries += change.entries;
            counts.advanced += change.advanced;
            if (!counts.isTimerSet) {
                counts.isTimerSet = true;
                long now = context.timerService().currentProcessingTime();
                context.timerService().registerProcessingTimeTimer(now + TELL_EVERY_MS);
            }
            state.update(counts);
        }

        @Override
        public void onTimer(long time, OnTimerContext context, Collector<Counts> out) throws Exception {
            Counts counts = state.value();
            counts.isTimerSet = false;
            state.update(counts);
            out.collect(counts);
        }
    }

    static class CellSchema implements SerializationSchema<Counts> {
        @Override
        public byte[] serialize(Counts counts) {
            return counts.cell.getBytes(StandardCharsets.UTF_8);
        }
    }

    static class CountsSchema implements SerializationSchema<Counts> {
        @Override
        public byte[] serialize(Counts counts) {
            String text = "[" + counts.events + "," + counts.entries + "," + counts.advanced + "]";
            return text.getBytes(StandardCharsets.UTF_8);
        }
    }

    public static void main(String[] arguments) throws Exception {
        String kafka = arguments[0], topic = arguments[1], results = arguments[2], backend = arguments[4];
        String directory = Path.of(arguments[3]).toUri().toString();
        Configuration settings = new Configuration();
        settings.setString("state.backend.type", backend);
        settings.setString("execution.checkpointing.interval", "10 s");
        settings.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
        settings.setString("execution.checkpointing.incremental", "true");
        settings.setString("execution.checkpointing.dir", directory + "checkpoints");
        settings.setString("io.tmp.dirs", arguments[3]);
        settings.setString("pipeline.object-reuse", "true");
        settings.setString("pipeline.generic-types", "false");
        settings.setString("taskmanager.memory.managed.size", "512 mb");
        StreamExecutionEnvironment flink = StreamExecutionEnvironment.createLocalEnvironment(2, settings);
        KafkaSource<Event> source = KafkaSource.<Event>builder()
                .setBootstrapServers(kafka)
                .setTopics(topic)
                .setGroupId("flink-" + backend)
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setValueOnlyDeserializer(new EventSchema())
                .build();
        KafkaSink<Counts> sink = KafkaSink.<Counts>builder()
                .setBootstrapServers(kafka)
                .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
                .setRecordSerializer(KafkaRecordSerializationSchema.<Counts>builder()
                        .setTopic(results)
                        .setKeySerializationSchema(new CellSchema())
                        .setValueSerializationSchema(new CountsSchema())
                        .build())
                .build();
        flink.fromSource(source, WatermarkStrategy.noWatermarks(), "events")
                .keyBy(event -> event.anonymous_id)
                .process(new Journeys())
                .keyBy(change -> change.cell)
                .process(new Cells())
                .sinkTo(sink);
        flink.execute("peers");
    }
}
