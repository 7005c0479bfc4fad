//! Draws images with characters: two pixels in each, one above the other, where colours allow.

use std::env;

use image::{Rgb, RgbImage, imageops};
use mergan_runs::export::image_grid::COLUMNS;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

/// The colours that the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// All.
    All,
    /// The 256 of an indexed palette.
    Indexed,
    /// None: brightness becomes letters.
    None,
}

/// Letters by brightness.
const LETTERS: &[u8] = b" .:-=+*#%@";
/// The least side at which an image can be recognised, in pixels.
const LEAST: u32 = 8;

impl Colours {
    /// Returns what the environment says about the terminal; `NO_COLOR` is obeyed.
    pub fn of_terminal() -> Self {
        let variable = |name| env::var(name).unwrap_or_default();
        Colours::from_variables(&variable("NO_COLOR"), &variable("COLORTERM"), &variable("TERM"))
    }

    fn from_variables(no_color: &str, colorterm: &str, term: &str) -> Self {
        match () {
            () if !no_color.is_empty() => Colours::None,
            () if ["truecolor", "24bit"].contains(&colorterm) || term.ends_with("-direct") => Colours::All,
            () if term.contains("256color") => Colours::Indexed,
            () => Colours::None,
        }
    }

    /// Returns a style in one of the terminal's basic colours, if it shows any.
    pub fn of(self, colour: Color) -> Style {
        if self == Colours::None { Style::new() } else { colour.into() }
    }

    /// Returns the style of what matters least.
    pub fn faint(self) -> Style {
        self.of(Color::DarkGray)
    }

    fn pixel(self, Rgb([red, green, blue]): Rgb<u8>) -> Color {
        match self {
            Colours::All => Color::Rgb(red, green, blue),
            // The palette has 24 greys, and a cube of six values each of red, green and blue.
            _ if red.abs_diff(green).max(red.abs_diff(blue)) < 16 => match (u16::from(green) * 25 / 255) as u8 {
                0 => Color::Indexed(16),
                25.. => Color::Indexed(231),
                grey => Color::Indexed(231 + grey),
            },
            _ => {
                let [red, green, blue] = [red, green, blue].map(|value| ((u16::from(value) * 5 + 127) / 255) as u8);
                Color::Indexed(16 + 36 * red + 6 * green + blue)
            }
        }
    }
}

/// Draws a grid of square images, a row of [`COLUMNS`] for each class, as large as it can be recognised: its last rows
/// and first columns, if there is no room for more.
pub fn draw(buffer: &mut Buffer, area: Rect, grid: &RgbImage, colours: Colours) {
    let cell = grid.width() / COLUMNS as u32;
    if cell == 0 || area.is_empty() {
        return;
    }
    let (width, height) = (u32::from(area.width), 2 * u32::from(area.height));
    let rows = grid.height() / cell;
    // A few images that can be recognised say more than many that cannot.
    let side = (height / rows.max(1)).clamp(LEAST, cell.max(LEAST)).min(width).min(height);
    let (shown_rows, shown_columns) = (rows.min(height / side), (width / side).min(COLUMNS as u32));
    let part = imageops::crop_imm(grid, 0, (rows - shown_rows) * cell, shown_columns * cell, shown_rows * cell);
    let filter = imageops::FilterType::Triangle;
    let image = imageops::resize(&part.to_image(), shown_columns * side, shown_rows * side, filter);
    for y in 0..image.height().div_ceil(2) {
        for x in 0..image.width() {
            let upper = *image.get_pixel(x, 2 * y);
            let lower = *image.get_pixel_checked(x, 2 * y + 1).unwrap_or(&Rgb([0; 3]));
            let place = (area.x + x as u16, area.y + y as u16);
            match colours {
                Colours::None => {
                    let letter = LETTERS[brightness(upper, lower) * (LETTERS.len() - 1) / 255];
                    buffer[place].set_char(letter.into());
                }
                _ => {
                    let style = Style::new().fg(colours.pixel(upper)).bg(colours.pixel(lower));
                    buffer[place].set_char('▀').set_style(style);
                }
            }
        }
    }
}

/// Returns the mean brightness of two pixels, from 0 to 255.
fn brightness(upper: Rgb<u8>, lower: Rgb<u8>) -> usize {
    upper.0.iter().chain(&lower.0).map(|&value| usize::from(value)).sum::<usize>() / 6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_which_colours_there_are() {
        for (no_color, colorterm, term, expected) in [
            ("", "truecolor", "xterm-256color", Colours::All),
            ("", "", "xterm-direct", Colours::All),
            ("", "", "tmux-256color", Colours::Indexed),
            ("", "", "vt100", Colours::None),
            ("1", "truecolor", "xterm-256color", Colours::None),
        ] {
            assert_eq!(Colours::from_variables(no_color, colorterm, term), expected, "{term}");
        }
    }

    #[test]
    fn indexed_colours_are_near() {
        let indexed = |pixel| Colours::Indexed.pixel(Rgb(pixel));
        assert_eq!([[0; 3], [255; 3], [128; 3]].map(indexed), [16, 231, 243].map(Color::Indexed));
        assert_eq!(indexed([255, 0, 0]), Color::Indexed(196));
    }

    #[test]
    fn two_pixels_stand_in_a_character() {
        // White above black in each of ten images.
        let grid = RgbImage::from_fn(10 * 20, 20, |_, y| Rgb([if y < 10 { 255 } else { 0 }; 3]));
        let area = Rect::new(1, 1, 40, 10);
        let mut buffer = Buffer::empty(Rect::new(0, 0, 42, 12));
        draw(&mut buffer, area, &grid, Colours::All);
        let cell = &buffer[(1, 1)];
        assert_eq!((cell.symbol(), cell.fg, cell.bg), ("▀", Color::Rgb(255, 255, 255), Color::Rgb(255, 255, 255)));
        assert_eq!(buffer[(40, 10)].bg, Color::Rgb(0, 0, 0));
        assert_eq!(buffer[(0, 0)].symbol(), " ");

        let mut buffer = Buffer::empty(Rect::new(0, 0, 42, 12));
        draw(&mut buffer, area, &grid, Colours::None);
        assert_eq!([buffer[(1, 1)].symbol(), buffer[(1, 10)].symbol()], ["@", " "]);
    }

    #[test]
    fn no_size_is_too_small() {
        let grid = RgbImage::new(320, 320);
        for (width, height) in [(0, 0), (1, 1), (3, 40), (200, 1), (9, 4)] {
            let area = Rect::new(0, 0, width, height);
            draw(&mut Buffer::empty(area), area, &grid, Colours::All);
        }
    }
}
