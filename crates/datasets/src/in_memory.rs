//! Datasets of a program's own images.

use crate::folder::held_out_of;
use crate::hold::require_classes;
use crate::{Dataset, Error, Labelled, Manifest, Splits, names};

impl Dataset {
    /// Makes a dataset of these images, whose labels are indices of `class_names`. Without images to test on, a tenth
    /// of each class is held out, spread evenly, as from a folder of pictures. The name stands in the names of files.
    ///
    /// # Errors
    /// [`Error::Images`] when the name is that of a known dataset or no name of a file, a label is not below the number of classes, or the images to test on have another shape;
    /// [`Error::EmptyClass`] when there is no image of a class to train on.
    pub fn new(name: &str, class_names: Vec<String>, train: Labelled, test: Option<Labelled>) -> Result<Self, Error> {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) || names().any(|known| known == name)
        {
            let reason = format!(
                "a dataset cannot be called `{name}`; take letters, digits, hyphens and dots, and no name of a known dataset"
            );
            return Err(Error::Images { reason });
        }
        let classes = class_names.len();
        for (part, images) in [("to train on", Some(&train)), ("to test on", test.as_ref())] {
            let Some(images) = images else { continue };
            if let Some(image) = images.labels().iter().position(|&label| label >= classes) {
                let label = images.labels()[image];
                let reason =
                    format!("image {image} {part} has label {label}; there are {classes} classes, counted from 0");
                return Err(Error::Images { reason });
            }
            if images.image_shape() != train.image_shape() {
                let [ours, theirs] = [images, &train].map(|images| images.image_shape());
                let reason =
                    format!("images {part} of {ours:?} (channels, height, width), and to train on of {theirs:?}");
                return Err(Error::Images { reason });
            }
        }
        let (train, test) = match test {
            Some(test) => (train, test),
            None => {
                let (kept, held_out) = held_out_of(train.labels(), &(0..train.len()).collect::<Vec<_>>(), classes);
                (train.select(&kept), train.select(&held_out))
            }
        };
        require_classes(&class_names, &train.class_counts(classes))?;
        Ok(Dataset { name: name.into(), class_names, validation: train.select(&[]), train, test })
    }

    /// Describes the dataset as one that is fetched from nowhere.
    pub fn manifest(&self) -> Manifest {
        Manifest {
            name: self.name.clone(),
            description: format!("Images called {}", self.name),
            licence: "the images' own".into(),
            homepage: None,
            classes: self.class_names.clone(),
            shape: self.train.image_shape(),
            splits: Splits { train: self.train.len(), validation: self.validation.len(), test: self.test.len() },
            mirrors: Vec::new(),
            packages: Vec::new(),
            by_hand: Vec::new(),
            obtain: None,
            files: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    fn images(labels: &[usize], side: usize) -> Labelled {
        Labelled::new(Array4::zeros((labels.len(), 1, side, side)), labels.to_vec()).unwrap()
    }

    fn dataset(train: &[usize], test: Option<(&[usize], usize)>) -> Result<Dataset, Error> {
        let names = ["one", "two"].map(String::from).to_vec();
        Dataset::new("mine", names, images(train, 4), test.map(|(labels, side)| images(labels, side)))
    }

    #[test]
    fn a_tenth_is_held_out_unless_there_are_images_to_test_on() {
        let labels: Vec<usize> = (0..40).map(|image| image % 2).collect();
        let held = dataset(&labels, None).unwrap();
        assert_eq!([held.train.class_counts(2), held.test.class_counts(2)], [vec![18, 18], vec![2, 2]]);
        let given = dataset(&labels, Some((&[1], 4))).unwrap();
        assert_eq!((given.train.len(), given.test.labels()), (40, [1].as_slice()));
        let manifest = given.manifest();
        assert_eq!((manifest.name.as_str(), manifest.shape, manifest.splits.test), ("mine", [1, 4, 4], 1));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message = |train: &[usize], test| dataset(train, test).unwrap_err().to_string();
        assert_eq!(message(&[0, 1, 7], None), "image 2 to train on has label 7; there are 2 classes, counted from 0");
        let test = "image 0 to test on has label 2; there are 2 classes, counted from 0";
        assert_eq!(message(&[0, 1], Some((&[2], 4))), test);
        let shapes = "images to test on of [1, 5, 5] (channels, height, width), and to train on of [1, 4, 4]";
        assert_eq!(message(&[0, 1], Some((&[0], 5))), shapes);
        assert!(message(&[0, 0], None).contains("class two has no image"));
        for name in ["", "../mine", ".mine", "mnist"] {
            let error = Dataset::new(name, vec!["one".into()], images(&[0], 4), None).unwrap_err().to_string();
            assert!(error.starts_with(&format!("a dataset cannot be called `{name}`")), "{error}");
        }
    }
}
