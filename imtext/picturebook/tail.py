"""Words of the long tail: they colour a caption and say little.

The last ones come once in thousands of captions, so a training set holds words seen once or twice.
"""

from __future__ import annotations

from .words import entries

MANNER = entries("""
happily, quietly, slowly, quickly, together, alone, calmly, excitedly, playfully, carefully, gently,
proudly, joyfully, peacefully, casually, eagerly, cheerfully, swiftly, briskly, lazily, gracefully,
silently, patiently, energetically, confidently, merrily, curiously, nervously, leisurely, boldly,
clumsily, vigorously, gleefully, intently, idly, contentedly, enthusiastically, hastily, solemnly,
awkwardly, steadily, cautiously, gladly, effortlessly, skillfully, triumphantly, hurriedly, thoughtfully,
aimlessly, bravely, frantically, obediently, rapidly, shyly, stubbornly, blissfully, politely, tirelessly,
wearily, elegantly, absentmindedly, daringly, dutifully, faithfully, fearlessly, feverishly, furiously,
gallantly, gingerly, haphazardly, heroically, impatiently, innocently, jauntily, keenly, lightly, loudly,
mischievously, mysteriously, neatly, nimbly, nonchalantly, obliviously, passionately, placidly,
purposefully, recklessly, reluctantly, restlessly, serenely, sleepily, sluggishly, smoothly, softly,
sternly, suddenly, tenderly, unhurriedly, unsteadily, valiantly, warily, wildly, wistfully, zealously
""")
PERSON = entries("""
young, old, smiling, happy, tall, cute, lone, older, elderly, little, athletic, cheerful, thin, friendly,
barefoot, tired, excited, handsome, pretty, strong, curious, teenage, energetic, busy, brave, stylish,
lively, playful, proud, quiet, shy, relaxed, carefree, adventurous, slender, muscular, lonely, calm,
middle-aged, bespectacled, freckled, lanky, stocky, gentle, polite, nimble, agile, graceful, jolly,
dapper, sleepy, thoughtful, wiry, chubby, bold, sturdy, rugged, trendy, weary, joyous, studious, jovial,
grinning, determined, sunburned, solitary, sporty, serious, mischievous, pensive, elegant, scruffy,
tanned, courageous, bashful, giddy, burly, spry, suave, sprightly, beaming, dainty, robust, merry, plucky,
winsome, stoic, debonair, dashing, nonchalant, exuberant, industrious, inquisitive, vivacious,
contemplative, gregarious
""")
GROWN = frozenset(
    entries("""
burly, debonair, elderly, grizzled, middle-aged, old, older, stoic, studious, suave, teenage
""")
)  # not said of children

ANIMAL = entries("""
cute, furry, young, fluffy, lone, adorable, playful, wet, friendly, happy, hairy, old, fat, lively,
curious, sleepy, wild, tame, shaggy, hungry, sweet, healthy, gentle, lovely, energetic, funny, lazy,
plump, muddy, proud, obedient, alert, chubby, frisky, sturdy, cuddly, shy, clever, stray, scruffy, fuzzy,
graceful, bushy, sleek, woolly, loyal, timid, silky, feisty, stubborn, noisy, placid, bold, skinny, dirty,
nimble, domestic, majestic, cheeky, inquisitive, rambunctious, drowsy, rugged, boisterous, rotund, docile,
agile, matted, perky, portly, mangy, regal, spirited, unruly, pampered, grizzled, restless, skittish,
contented, ungainly, bewildered
""")
OBJECT = entries("""
new, old, shiny, colorful, pretty, nice, plain, wooden, plastic, round, simple, heavy, modern, lovely,
lone, bright, clean, fancy, vintage, metal, cheap, rusty, dusty, fragile, decorative, sturdy, antique,
painted, worn, glossy, polished, elegant, battered, ornate, handmade, rustic, sleek, quaint, gleaming,
weathered, portable, dented, faded, expensive, retro, toy, creaky, unusual, humble, striking, solid,
abandoned, cozy, tidy, spotless, crooked, gaudy, immaculate, pristine, dilapidated, rickety, shabby,
luxurious, makeshift
""")
PLACE = entries("""
open, quiet, sunny, large, busy, beautiful, empty, small, lovely, peaceful, green, crowded, wide, calm,
nearby, clean, pretty, remote, local, cozy, spacious, serene, tranquil, lush, bright, warm, cold, misty,
vast, charming, colorful, windy, scenic, dusty, rural, deserted, familiar, pleasant, neat, picturesque,
secluded, idyllic, muddy, bare, bustling, leafy, rugged, modern, shady, tidy, isolated, humble, breezy,
noisy, foggy, ordinary, quaint, sunlit, lonely, rocky, magical, majestic, barren, narrow, chilly, silent,
spotless, damp, gloomy, breathtaking, gorgeous, spectacular, untouched, sprawling, dreamy, hushed,
enchanting, desolate, windswept, verdant, tropical, frosty, humid, immense, placid, radiant, sleepy,
sultry, unspoiled, uneven, vibrant
""")
OPENERS = entries("""
a picture of, a photo of, this is, here is, a view of, a scene with, an image of, a close up of, a drawing
of, we see, a snapshot of, a painting of, an illustration of, a portrait of, a glimpse of, a cartoon of, a
sketch of, a depiction of, a postcard of, a watercolor of, a photograph of
""")
CLOSERS = entries("""
in the afternoon, in the morning, on a weekend, having fun, in spring, in autumn, for fun, during the
holidays, at noon, in july, on a sunday, by chance, for exercise, all day long, before lunch, at dawn, in
august, after school, on a saturday afternoon, as usual, on vacation, with delight, without a care, for
the camera, at daybreak, in october, while nobody is watching, without hesitation, for a moment, in
solitude, with enthusiasm, in perfect harmony, during a festival, before breakfast, for an audience, on a
lazy sunday, in december, in april, on a weekday, at leisure, with great concentration, for the first
time, on an errand, despite the weather, during the parade, before supper, in february, on a tuesday, on
easter, amid the tranquility, with admirable patience, on halloween
""")
