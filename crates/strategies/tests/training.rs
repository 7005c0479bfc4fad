//! Tests of the trainer through its public interface, by whole smoke runs on the small drawn dataset.

use std::path::Path;

use mergan_datasets::{Dataset, Labelled, TaskSequence};
use mergan_models::{Architecture, Classifier, Critic, FitOptions, Generator, ModelConfig, Network, Rows, Weights};
use mergan_strategies::{
    Advance, Choice, Config, Error, Extension, Grouping, Kept, Purpose, Source, Strategies, TaskEnd, Trainer,
};
use mergan_tensor::{Device, Random};
use ndarray::Array4;

fn shapes() -> Dataset {
    mergan_datasets::load("shapes", &Default::default()).unwrap()
}

fn strategies() -> Strategies {
    Strategies::built_in()
}

fn config(strategy: &str, changes: toml::Table) -> Config {
    let choice = Choice {
        dataset: "shapes".into(),
        strategy: strategy.into(),
        preset: "smoke".into(),
        tasks: Some(3),
        changes,
        ..Choice::default()
    };
    Config::resolve(&choice, &strategies(), 10).unwrap()
}

/// Advances until `stop` returns true or all tasks are learned.
fn run(trainer: &mut Trainer, mut stop: impl FnMut(&Advance) -> bool) {
    while let Some(advance) = trainer.advance().unwrap() {
        if stop(&advance) {
            break;
        }
    }
}

fn bits(network: &impl Network) -> Vec<u32> {
    network.values().iter().flat_map(|value| value.to_vec::<f32>()).map(f32::to_bits).collect()
}

/// Returns images of each of these classes.
fn images_of(trainer: &Trainer, classes: &[usize]) -> Vec<Array4<u8>> {
    trainer.sampling().images(trainer.source(), classes, 8)
}

/// Returns the default configuration of every strategy, and others with different options, groupings and tasks.
fn configurations() -> Vec<Config> {
    let mut all: Vec<Config> = strategies().names().map(|strategy| config(strategy, toml::Table::new())).collect();
    all.push(config("jtr", toml::toml! { options = { replay = "batch" } }));
    all.push(config("jtr", toml::toml! { options = { replay = "mean" } }));
    all.push(config("jtr", toml::toml! { options = { replay = "sum", classes_per_step = 1 } }));
    all.push(config("jtr", toml::toml! { options = { replay = "batch", classes_per_step = 1 } }));
    all.push(config("jtr-ra", toml::toml! { options = { jtr = { replay = "batch", classes_per_step = 1 } } }));
    all.push(config("ra", toml::toml! { options = { classes_per_step = 1 } }));
    all.push(config("ra", toml::toml! { options = { scaling = "root" } }));
    all.push(config("adapters", toml::toml! { options = { base = 1 } }));
    all.push(config("jt", toml::toml! { training = { grouping = "mixed" } }));
    // Two classes per task in a given order, and fewer images per batch than classes.
    for strategy in strategies().names() {
        let changes = toml::toml! {
            sequence = { classes_per_task = 2, order = [3, 1, 4, 0, 5, 2] }
            training = { batch = 4 }
        };
        all.push(config(strategy, changes));
    }
    all
}

#[test]
fn a_resumed_training_ends_with_the_same_bits() {
    let (data, folder) = (shapes(), tempfile::tempdir().unwrap());
    for config in configurations() {
        let mut straight = Trainer::new(config.clone(), &strategies(), 10, &data.train).unwrap();
        run(&mut straight, |_| false);

        let path = folder.path().join("checkpoint.safetensors");
        let mut first = Trainer::new(config.clone(), &strategies(), 10, &data.train).unwrap();
        run(&mut first, |advance| matches!(advance, Advance::Iteration { task: 2, iteration: 4, .. }));
        first.save(&path).unwrap();
        let mut second = Trainer::resume(config.clone(), &strategies(), 10, &data.train, &path).unwrap();
        assert_eq!((second.tasks_learned(), second.iterations_done()), (1, 4));
        run(&mut second, |_| false);
        assert!(bits(straight.generator()) == bits(second.generator()), "{} {:?}", config.strategy, config.options);
        let sampler = |trainer: &Trainer| {
            let (mut weights, sampler) = (Weights::default(), trainer.source().sampler);
            sampler.save(&mut weights);
            (sampler.only_condition(), weights.sha256())
        };
        assert!(sampler(&straight) == sampler(&second), "sampler of {}", config.strategy);
    }
}

#[test]
fn a_training_outlives_the_dataset_and_moves_between_threads() {
    let begin = || Trainer::new(config("ra", toml::Table::new()), &strategies(), 10, &shapes().train).unwrap();
    let train = |mut trainer: Trainer| {
        run(&mut trainer, |_| false);
        trainer
    };
    let elsewhere = std::thread::spawn(move || train(begin())).join().unwrap();
    assert!(bits(elsewhere.generator()) == bits(train(begin()).generator()));
}

#[test]
fn a_fork_continues_another_runs_first_task() {
    let (data, folder) = (shapes(), tempfile::tempdir().unwrap());
    let path = folder.path().join("first.safetensors");
    let first_task = Config { tasks: 1, ..config("sft", toml::Table::new()) };
    let mut first = Trainer::new(first_task, &strategies(), 10, &data.train).unwrap();
    run(&mut first, |_| false);
    first.save(&path).unwrap();
    // Mixed batches of one class are pure ones, but their gradients are summed in another order.
    for config in configurations()
        .into_iter()
        .filter(|config| config.training.grouping == Grouping::Pure && config.sequence.classes_per_task == 1)
    {
        let mut straight = Trainer::new(config.clone(), &strategies(), 10, &data.train).unwrap();
        run(&mut straight, |_| false);
        let mut fork = Trainer::fork(config.clone(), &strategies(), 10, &data.train, &path).unwrap();
        run(&mut fork, |_| false);
        assert!(bits(straight.generator()) == bits(fork.generator()), "{} {:?}", config.strategy, config.options);
    }
    let others = [
        Config { seed: 1, ..config("ra", toml::Table::new()) },
        config("ra", toml::toml! { training = { rate = 5e-3 } }),
        config("ra", toml::toml! { training = { critic_steps = 3 } }),
        config("ra", toml::toml! { training = { mirror = true } }),
        config("ra", toml::toml! { training = { augment = "cutout" } }),
    ];
    for other in others {
        let error = Trainer::fork(other, &strategies(), 10, &data.train, &path).err().unwrap().to_string();
        assert!(error.contains("its first task was trained with another configuration"), "{error}");
    }
}

#[test]
fn an_unconditional_training_does_not_fork_from_two_classes() {
    let (data, folder) = (shapes(), tempfile::tempdir().unwrap());
    let path = folder.path().join("first.safetensors");
    let two = || toml::toml! { sequence = { classes_per_task = 2 } };
    let mut first = Trainer::new(Config { tasks: 1, ..config("sft", two()) }, &strategies(), 10, &data.train).unwrap();
    run(&mut first, |_| false);
    first.save(&path).unwrap();
    assert!(Trainer::fork(config("ra", two()), &strategies(), 10, &data.train, &path).is_ok());
    let error = Trainer::fork(config("dgr", two()), &strategies(), 10, &data.train, &path).err().unwrap().to_string();
    assert!(error.contains("its first task was trained with another configuration"), "{error}");
}

#[test]
fn strategies_share_the_first_task_and_part_ways_after_it() {
    let data = shapes();
    let after = |task: usize| -> Vec<Vec<Array4<u8>>> {
        let learn = |strategy: &str| {
            let mut trainer =
                Trainer::new(config(strategy, toml::Table::new()), &strategies(), 10, &data.train).unwrap();
            run(&mut trainer, |advance| matches!(advance, Advance::TaskEnd { task: ended } if *ended == task));
            images_of(&trainer, &trainer.tasks().classes_seen(task))
        };
        strategies().names().map(learn).collect()
    };
    assert!(after(1).windows(2).all(|pair| pair[0] == pair[1]));
    let ends = after(3);
    for (i, name) in strategies().names().enumerate() {
        assert!(ends[..i].iter().all(|other| *other != ends[i]), "{name} trains as another does");
    }
}

#[test]
fn a_checkpoint_of_another_configuration_is_refused() {
    let (data, folder) = (shapes(), tempfile::tempdir().unwrap());
    let path = folder.path().join("checkpoint.safetensors");
    Trainer::new(config("ra", toml::Table::new()), &strategies(), 10, &data.train).unwrap().save(&path).unwrap();
    let refused = |config: Config| match Trainer::resume(config, &strategies(), 10, &data.train, &path) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it was accepted"),
    };
    let message = refused(config("ra", toml::toml! { options = { lambda = 0.5 } }));
    assert!(message.contains("another configuration") && message.contains("lambda"), "{message}");
    assert!(message.contains("checkpoint.safetensors"), "{message}");
}

#[test]
fn diverging_training_stops_with_the_place() {
    let data = shapes();
    let config = config("sft", toml::toml! { training = { rate = 1e9 } });
    let mut trainer = Trainer::new(config, &strategies(), 10, &data.train).unwrap();
    let error = loop {
        match trainer.advance() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it did not diverge"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Diverged { task: 1, .. }), "{error}");
}

#[test]
fn weights_that_are_no_numbers_are_never_saved() {
    let (data, folder) = (shapes(), tempfile::tempdir().unwrap());
    let path = folder.path().join("checkpoint.safetensors");
    let config = config("sft", toml::toml! { training = { rate = 1e38 } });
    let mut trainer = Trainer::new(config, &strategies(), 10, &data.train).unwrap();
    // The losses of the first iteration are computed before its steps change the weights.
    trainer.advance().ok();
    let error = trainer.save(&path).unwrap_err();
    assert!(matches!(error, Error::Diverged { .. }), "{error}");
    assert!(!path.exists());
}

#[test]
fn strategies_that_do_not_see_all_classes_need_class_pure_groups() {
    let data = shapes();
    let changes = toml::toml! {
        training = { grouping = "mixed" }
        options = { replay = "batch" }
    };
    let error = Trainer::new(config("jtr", changes), &strategies(), 10, &data.train).err().unwrap().to_string();
    assert!(error.contains("training.grouping") && error.contains("must be pure"), "{error}");
    let changes = toml::toml! { training = { grouping = "mixed" } };
    let error = Trainer::new(config("adapters", changes), &strategies(), 10, &data.train).err().unwrap().to_string();
    assert!(error.contains("training.grouping") && error.contains("must be pure"), "{error}");
}

#[test]
fn a_batch_larger_than_a_class_is_refused() {
    let data = shapes();
    let config = config("sft", toml::toml! { training = { batch = 5000 } });
    let error = Trainer::new(config, &strategies(), 10, &data.train).err().unwrap().to_string();
    assert!(error.contains("training images, and a batch takes 5000; training.batch may be 40 at most"), "{error}");
}

#[test]
fn samples_depend_on_the_seed_and_not_on_how_many_are_made() {
    let data = shapes();
    for grouping in ["pure", "mixed"] {
        let mut changes = toml::Table::new();
        changes.insert(
            "training".into(),
            toml::Value::Table([("grouping".into(), grouping.into())].into_iter().collect()),
        );
        let trainer = Trainer::new(config("jt", changes), &strategies(), 10, &data.train).unwrap();
        let (sampling, generator) = (trainer.sampling(), trainer.generator());
        let [few, many] = [5, 40].map(|count| sampling.images(generator, &[2, 7], count));
        for (few, many) in few.iter().zip(&many) {
            assert_eq!(few.dim(), (5, 1, 32, 32));
            assert_eq!(many.slice(ndarray::s![..5, .., .., ..]), few.view());
        }
        assert_ne!(few[0], few[1]);
        let other = mergan_strategies::Sampling { seed: 1, ..sampling };
        assert_ne!(other.images(generator, &[2, 7], 5), few);
    }
}

#[test]
fn a_class_that_the_solver_never_names_has_no_images() {
    let data = shapes();
    let trainer = Trainer::new(config("dgr", toml::Table::new()), &strategies(), 10, &data.train).unwrap();
    let (generator, sampling) = (trainer.generator(), trainer.sampling());
    // This classifier, trained on the label 3 alone, assigns every image to class 3.
    let labels = vec![3; data.train.len()];
    let options = FitOptions { epochs: 1, ..FitOptions::default() };
    let classifier = Classifier::fit(data.train.images().unwrap().view(), &labels, 10, options, Random::new(0), |_| {});
    let mut weights = Weights::default();
    weights.insert_network("solver.", &classifier);
    let solver = strategies().sampler(Path::new("generator.safetensors"), &weights, generator, &[0, 3]).unwrap();
    let source = Source { sampler: &*solver, ..Source::from(generator) };
    let images = sampling.images(source, &[0, 3], 20);
    assert_eq!((images[0].dim(), images[1].dim()), ((0, 1, 32, 32), (20, 1, 32, 32)));
    // Exactly ten latents are drawn for each class. The solver assigns all twenty images to class 3, and the images of
    // the other generator get the same classes.
    let other = Generator::new(generator.config(), Random::new(1), Device::Cpu);
    let sources = [source, Source { generator: &other, ..source }];
    let made = solver.at_same_latents(&sampling, Purpose::Gap, &sources, &[0, 3], 10);
    let counts = made.iter().map(|images| images.iter().map(|images| images.dim().0).collect::<Vec<_>>());
    assert_eq!(counts.collect::<Vec<_>>(), [[0, 20], [0, 20]]);
    assert_ne!(made[0][1], made[1][1]);
    let grid = sampling.grid(source, &[0, 3], 5);
    assert!(grid[0].dim() == (5, 1, 32, 32) && grid[0].iter().all(|&pixel| pixel == 0));
    assert!(grid[1].iter().any(|&pixel| pixel > 0));
}

#[test]
fn per_class_parameters_leave_the_trunk_and_other_classes_alone() {
    let data = shapes();
    let mut trainer =
        Trainer::new(config("class-parameters", toml::Table::new()), &strategies(), 10, &data.train).unwrap();
    run(&mut trainer, |advance| matches!(advance, Advance::TaskEnd { task: 1 }));
    let before = trainer.generator().clone();
    run(&mut trainer, |advance| matches!(advance, Advance::TaskEnd { task: 2 }));
    let after = trainer.generator();
    let mut learned = false;
    for (before, after) in before.parameters().iter().zip(after.parameters()) {
        let [old, new] = [&before.value, &after.value].map(|value| value.to_vec::<f32>());
        if before.name.starts_with('n') {
            // The second task learned class 1. Class 2 then started the third task at the mean of the two.
            let channels = old.len() / 10;
            assert_eq!(old[..channels], new[..channels], "class 0 of {}", before.name);
            learned |= old[channels..2 * channels] != new[channels..2 * channels];
        } else {
            assert_eq!(old, new, "{}", before.name);
        }
    }
    assert!(learned);
}

/// The trunk and the first classes are learned as RA learns them, and what is learned later touches neither.
#[test]
fn adapters_are_trained_once_the_trunk_is_frozen() {
    let data = shapes();
    let begin = |strategy: &str, options: &str| {
        let config = config(strategy, format!("options = {{ {options} }}").parse().unwrap());
        Trainer::new(config, &strategies(), 10, &data.train).unwrap()
    };
    let after_two = |strategy: &str, options: &str| {
        let mut trainer = begin(strategy, options);
        run(&mut trainer, |advance| matches!(advance, Advance::TaskEnd { task: 2 }));
        trainer
    };
    let mut trainer = after_two("adapters", "base = 2");
    let before = trainer.generator().clone();
    for ra in [after_two("ra", ""), after_two("adapters", "base = 30")] {
        assert!(bits(&ra.generator().trunk()) == bits(&before.trunk()), "two tasks of RA");
    }
    assert!(before.adapted(&[0, 1, 2]).is_empty());
    run(&mut trainer, |_| false);
    let after = trainer.generator();
    assert_eq!(after.adapted(&[0, 1, 2, 3]), [2]);
    for (before, after) in before.parameters().iter().zip(after.parameters()) {
        let [mut old, mut new] = [&before.value, &after.value].map(|value| value.to_vec::<f32>());
        if after.rows == Rows::PerClass {
            let of_two = old.len() / 10 * 2..old.len() / 10 * 3;
            let [old, new] = [&mut old, &mut new].map(|values| values.drain(of_two.clone()).collect::<Vec<_>>());
            assert_ne!(old, new, "class 2 of {}", after.name);
        }
        assert_eq!(old, new, "{}", after.name);
    }
}

/// Strategies that forget nothing once `base` tasks have been learned, and their options.
const UNFORGETTING: [(&str, &str, usize); 3] =
    [("separate", "", 1), ("adapters", "options = { base = 1 }", 1), ("adapters", "options = { base = 2 }", 2)];

#[test]
fn images_of_learned_classes_stay_the_same_to_the_byte() {
    let data = shapes();
    let two = "sequence = { classes_per_task = 2, order = [3, 1, 4, 0, 5, 2] }\n";
    for (strategy, options, base, sequence) in
        UNFORGETTING.into_iter().flat_map(|(name, options, base)| ["", two].map(|two| (name, options, base, two)))
    {
        let changes = format!("{sequence}{options}").parse().unwrap();
        let mut trainer = Trainer::new(config(strategy, changes), &strategies(), 10, &data.train).unwrap();
        let standing = |trainer: &Trainer, classes: &[usize]| {
            let standing = trainer.sampling().standing(trainer.source(), classes);
            let source = Source { standing: Some(&standing), ..trainer.source() };
            trainer.sampling().images(source, classes, 8)
        };
        let mut learned: Vec<(usize, Array4<u8>, Array4<u8>)> = Vec::new();
        while let Some(advance) = trainer.advance().unwrap() {
            for (class, images, alone) in &learned {
                assert!(images_of(&trainer, &[*class]) == [images.clone()], "{strategy} forgets {class}");
                assert!(standing(&trainer, &[*class]) == [alone.clone()], "{strategy} forgets {class}");
            }
            if let Advance::TaskEnd { task } = advance
                && task >= base
            {
                let mut new = trainer.tasks().classes_seen(task);
                new.retain(|class| learned.iter().all(|(known, ..)| known != class));
                let images = images_of(&trainer, &new).into_iter().zip(standing(&trainer, &new));
                learned.extend(new.iter().zip(images).map(|(&class, (images, alone))| (class, images, alone)));
            }
        }
        assert_eq!(learned.len(), trainer.tasks().classes_seen(3).len());
    }
}

#[test]
fn what_is_kept_is_stated() {
    let data = shapes();
    let kept = |strategy: &str| {
        let mut trainer = Trainer::new(config(strategy, toml::Table::new()), &strategies(), 10, &data.train).unwrap();
        run(&mut trainer, |_| false);
        let Kept { generator_parameters, classifier_parameters, images } = trainer.kept();
        let one = trainer.generator().parameter_count();
        (generator_parameters as f64 / one as f64, classifier_parameters > 0, images)
    };
    for plain in ["sft", "jtr", "ra", "ra-features", "jtr-ra", "class-parameters"] {
        assert_eq!(kept(plain), (1.0, false, 0), "{plain}");
    }
    assert_eq!(kept("ewc"), (2.0, false, 0));
    assert_eq!(kept("dgr"), (1.0, true, 0));
    assert_eq!(kept("separate"), (3.0, false, 0));
    assert_eq!(kept("adapters"), (1.0, false, 0), "the adapters are in the generator");
    assert_eq!(kept("exemplars"), (1.0, false, 15));
    let of_three = (0..3).map(|class| data.train.indices_of(class).len()).sum();
    assert_eq!(kept("jt"), (1.0, false, of_three));
}

#[test]
fn what_is_replayed_is_counted_and_survives_a_resumption() {
    let (data, folder) = (shapes(), tempfile::tempdir().unwrap());
    let path = folder.path().join("checkpoint.safetensors");
    let config = config("exemplars", toml::Table::new());
    let mut trainer = Trainer::new(config.clone(), &strategies(), 10, &data.train).unwrap();
    run(&mut trainer, |advance| matches!(advance, Advance::Iteration { task: 3, iteration: 2, .. }));
    // Two iterations with two critic steps each, and batches of 12 images of three classes.
    assert_eq!(trainer.replayed(), [(0, 16), (1, 16)].into());
    trainer.save(&path).unwrap();
    assert_eq!(Trainer::resume(config, &strategies(), 10, &data.train, &path).unwrap().replayed(), trainer.replayed());
}

#[test]
fn a_tasks_end_shows_images_of_each_of_its_classes() {
    let data = shapes();
    let sizes = ModelConfig { width: 2, latent: 4, ..ModelConfig::default() };
    let end = TaskEnd {
        task: 1,
        tasks: &TaskSequence::from_tasks(10, vec![vec![0], vec![3, 1]]).unwrap(),
        train: &data.train,
        generator: &Generator::new(sizes, Random::new(0), Device::Cpu),
        critic: &Critic::new(sizes, Random::new(0), Device::Cpu),
        old: None,
        batch: 4,
        random: Random::new(0),
        rehearsal: false,
    };
    assert_eq!(end.images(3).labels(), [3, 3, 3, 1, 1, 1]);
    assert_eq!(end.learned(), [0, 3, 1]);
}

fn extension(name: &str, class: usize) -> Extension {
    Extension {
        name: name.into(),
        class,
        images: "folder".into(),
        limit: None,
        skip_bad: false,
        follow_links: false,
        sha256: String::new(),
        scorer: None,
    }
}

#[test]
fn an_extension_learns_what_a_longer_run_would_have() {
    let (data, folder) = (shapes(), tempfile::tempdir().unwrap());
    let path = folder.path().join("end.safetensors");
    let alone = data.train.of_class(2);
    for strategy in strategies().names() {
        let mut straight = Trainer::new(config(strategy, toml::Table::new()), &strategies(), 10, &data.train).unwrap();
        run(&mut straight, |_| false);

        let short = Config { tasks: 2, ..config(strategy, toml::Table::new()) };
        let mut first = Trainer::new(short, &strategies(), 10, &data.train).unwrap();
        run(&mut first, |_| false);
        first.save(&path).unwrap();
        let extended = Trainer::extend(extension("square", 2), &strategies(), 10, &alone, &path);
        if strategy == "jt" {
            let error = extended.err().unwrap().to_string();
            assert!(error.contains("strategy jt: it learns from real images of all classes"), "{error}");
            continue;
        }
        let mut extended = extended.unwrap();
        run(&mut extended, |_| false);
        assert!(bits(straight.generator()) == bits(extended.generator()), "{}", strategy);
        assert!(images_of(&straight, &[0, 1, 2]) == images_of(&extended, &[0, 1, 2]), "{}", strategy);
    }
}

#[test]
fn an_extension_makes_room_and_resumes_to_the_same_bits() {
    let (data, folder) = (shapes(), tempfile::tempdir().unwrap());
    let path = folder.path().join("end.safetensors");
    let zebras = Labelled::new(data.train.of_class(7).images().unwrap().into_owned(), vec![10; 40]).unwrap();
    for strategy in strategies().names().filter(|strategy| *strategy != "jt") {
        let short = Config { tasks: 2, ..config(strategy, toml::Table::new()) };
        let mut first = Trainer::new(short, &strategies(), 10, &data.train).unwrap();
        run(&mut first, |_| false);
        first.save(&path).unwrap();
        let begin = || Trainer::extend(extension("zebra", 10), &strategies(), 11, &zebras, &path).unwrap();
        let mut straight = begin();
        assert_eq!((straight.tasks_learned(), straight.generator().config().classes), (2, 11));
        assert!(images_of(&straight, &[0, 1]) == images_of(&first, &[0, 1]), "{} forgets before it learns", strategy);

        let middle = folder.path().join("middle.safetensors");
        let mut stopped = begin();
        run(&mut stopped, |advance| matches!(advance, Advance::Iteration { iteration: 3, .. }));
        stopped.save(&middle).unwrap();
        let mut resumed = Trainer::resume(stopped.config().clone(), &strategies(), 11, &zebras, &middle).unwrap();
        for trainer in [&mut straight, &mut resumed] {
            run(trainer, |_| false);
            assert_eq!(trainer.tasks_learned(), 3);
        }
        if UNFORGETTING.iter().any(|(unforgetting, ..)| *unforgetting == strategy) {
            assert!(images_of(&resumed, &[0, 1]) == images_of(&first, &[0, 1]), "{strategy} forgets");
        }
        assert!(bits(straight.generator()) == bits(resumed.generator()), "{}", strategy);
    }
}

#[test]
fn a_run_that_has_not_ended_is_not_extended() {
    let (data, folder) = (shapes(), tempfile::tempdir().unwrap());
    let path = folder.path().join("middle.safetensors");
    let mut trainer = Trainer::new(config("ra", toml::Table::new()), &strategies(), 10, &data.train).unwrap();
    run(&mut trainer, |advance| matches!(advance, Advance::TaskEnd { task: 2 }));
    trainer.save(&path).unwrap();
    let error =
        Trainer::extend(extension("zebra", 10), &strategies(), 11, &data.train, &path).err().unwrap().to_string();
    assert!(error.contains("middle.safetensors: it does not stand at the end of its 3 tasks"), "{error}");
    run(&mut trainer, |_| false);
    trainer.save(&path).unwrap();
    let error =
        Trainer::extend(extension("again", 1), &strategies(), 10, &data.train, &path).err().unwrap().to_string();
    assert!(error.contains("class 1 is in task 2 and again in task 4"), "{error}");
}

/// Returns artificial photographs of three classes in colour.
fn photographs(side: usize) -> Labelled {
    let images =
        Array4::from_shape_fn((18, 3, side, side), |(n, c, y, x)| (n * 41 + c * 13 + y * (1 + n % 3) + x) as u8);
    Labelled::new(images, (0..18).map(|n| n % 3).collect()).unwrap()
}

/// Returns the configuration of two smoke tasks on photographs.
fn on_photographs(architecture: Architecture, strategy: &str, changes: toml::Table) -> Config {
    let choice = Choice {
        dataset: "photographs".into(),
        architecture,
        strategy: strategy.into(),
        preset: "smoke".into(),
        tasks: Some(2),
        changes,
        ..Choice::default()
    };
    Config::resolve(&choice, &strategies(), 3).unwrap()
}

/// Asserts that a training on photographs that is resumed in its second task gives the bits of one that is not.
fn assert_resumes(architecture: Architecture, changes: &toml::Table) {
    let (data, folder) = (photographs(architecture.side()), tempfile::tempdir().unwrap());
    let path = folder.path().join("checkpoint.safetensors");
    for strategy in strategies().names() {
        let config = on_photographs(architecture, strategy, changes.clone());
        let mut straight = Trainer::new(config.clone(), &strategies(), 3, &data).unwrap();
        run(&mut straight, |advance| matches!(advance, Advance::Iteration { task: 2, iteration: 1, .. }));
        straight.save(&path).unwrap();
        let mut resumed = Trainer::resume(config, &strategies(), 3, &data, &path).unwrap();
        for trainer in [&mut straight, &mut resumed] {
            run(trainer, |_| false);
        }
        assert!(bits(straight.generator()) == bits(resumed.generator()), "{architecture:?}, {strategy}");
    }
}

/// Returns changes for a very short training; `more` are lines of its table `training`.
fn few(more: &str) -> toml::Table {
    format!("[training]\niterations = 2\nfirst_iterations = 2\nbatch = 4\n{more}").parse().unwrap()
}

#[test]
fn residual_networks_train_and_resume_with_every_strategy() {
    for architecture in [Architecture::Resnet, Architecture::Residual, Architecture::Residual64] {
        assert_resumes(architecture, &few(""));
    }
}

#[test]
fn augmented_trainings_resume_to_the_same_bits() {
    assert_resumes(Architecture::Residual, &few("mirror = true\naugment = 'color,translation,cutout'"));
}

/// Every change of the images changes what is learned, and a run without changes is what it was before there were any.
#[test]
fn every_kind_of_augmentation_takes_part() {
    let data = photographs(32);
    let learned = |changes: &str| {
        let config = on_photographs(Architecture::Digit, "sft", few(changes));
        let mut trainer = Trainer::new(config, &strategies(), 3, &data).unwrap();
        run(&mut trainer, |_| false);
        bits(trainer.generator())
    };
    let all = ["", "mirror = true", "augment = 'color'", "augment = 'translation'", "augment = 'cutout'"].map(learned);
    for (i, bits) in all.iter().enumerate() {
        assert!(!all[..i].contains(bits), "{i}");
    }
    assert!(all[0] == learned("mirror = false\naugment = ''"));
}

#[test]
fn images_of_another_size_than_the_networks_make_are_refused() {
    let refused = |side| {
        let photographs = photographs(side);
        let config = config("ra", toml::Table::new());
        Trainer::new(config, &strategies(), 10, &photographs).err().unwrap().to_string()
    };
    let expected = "the images are 64 x 64 pixels, and the networks `digit` make 32 x 32; model.architecture may be resnet \
                    or residual64";
    assert_eq!(refused(64), expected);
    let expected = "the images are 48 x 48 pixels, and the networks `digit` make 32 x 32; there are networks for 32 x 32 \
                    and 64 x 64";
    assert_eq!(refused(48), expected);
}
